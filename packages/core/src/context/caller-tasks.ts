export type TaskStatus = 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled'

/** What a call asks its client. */
export type OpenQuestion = { method: string; params: Record<string, unknown> }

/** A call that is a task, as its caller is told of it. `tool`: of which it is a call. */
export type TaskSeen = {
  taskId: string
  tool: string
  status: TaskStatus
  statusMessage?: string
  createdAt: string
  lastUpdatedAt: string
  ttlMs: number
  pollIntervalMs: number
  /** What it waits for, by what the answers are given by. */
  inputRequests?: Record<string, OpenQuestion>
  /** What it has come to: of a task that is `completed`, or `failed`. */
  result?: Record<string, unknown>
  error?: { code: number; message: string }
}

/**
 * Tasks, for handlers that act on those of their caller. A task belongs to the principal that began it; where nobody is
 * known, whoever has its id may ask for it. Each operation resolves to `undefined` where there is no such task, and where it
 * is another principal's.
 */
export interface CallerTasks {
  read(taskId: string, principal: string | undefined): Promise<TaskSeen | undefined>
  /** As `read`, as soon as it is not `working` any more, or after `ms`. Rejects when `signal` fires. */
  wait(
    taskId: string,
    principal: string | undefined,
    until: { ms: number; signal: AbortSignal },
  ): Promise<TaskSeen | undefined>
  /** Gives it answers, by the names of what it asks. The first answer to each counts. */
  answer(
    taskId: string,
    principal: string | undefined,
    answers: Readonly<Record<string, Record<string, unknown>>>,
  ): Promise<true | undefined>
  /** Asks for it to stop; one that has ended stays as it is. */
  cancel(taskId: string, principal: string | undefined): Promise<true | undefined>
}
