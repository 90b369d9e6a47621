import { z } from 'zod'
import type { JsonRpcResponse } from '../json-rpc.js'
import { checkGiven, checkNames, shown } from '../known-options.js'
import { isAlone } from '../protocol.js'
import { whileStoreFails } from '../store/retry.js'
import type { CallLog } from './call-log.js'
import type { CallerTasks, OpenQuestion, TaskSeen } from './caller-tasks.js'
import { capabilityFor, hasCapability } from './questions.js'
import { currentTasks } from './run-context.js'

/** What the tools are for, and what they are called unless something else is said. */
const NAMES = { status: 'task_status', result: 'task_result', cancel: 'task_cancel' } as const
export type TaskToolRole = keyof typeof NAMES
export type TaskToolNames = Record<TaskToolRole, string>
/** `names`: of the tools, where a server has others of these names. */
export type TaskToolsOptions = { names?: Partial<TaskToolNames> }

/** A server object of either major of the SDK. */
type ToolServer = { registerTool(name: string, config: never, handler: never): unknown }
type ToolResult = { content: object[]; isError?: boolean; [key: string]: unknown }
type Args = { taskId: string; waitMs?: number | undefined }
type Handler = (args: Args) => Promise<ToolResult>

const WAIT_MS = 20_000
/** Shorter than the time that official clients wait for an answer. */
const LONGEST_WAIT_MS = 50_000
/** So long a task has to stop before the tool that cancels it says that it has not. */
const STOPS_WITHIN_MS = 2000

const roles = new WeakMap<object, TaskToolRole>()

/** Which of the tools a handler is, if it is one. */
export const taskToolOf = (handler: unknown): TaskToolRole | undefined =>
  typeof handler === 'function' ? roles.get(handler) : undefined

/**
 * Registers `task_status`, `task_result` and `task_cancel`, by which any client may ask for a long call of a durable tool, from
 * anywhere and at any time; `taskTools(server)` in the factory. With them a call of a durable tool (`task: 'auto'` or `'always'`)
 * whose client knows no tasks is answered after `taskAfterMs` with the id to ask for, and goes on. Tools that declare an
 * `outputSchema` are not: their clients wait for what it describes.
 */
export function taskTools(server: ToolServer, options: TaskToolsOptions = {}): void {
  const isServer = typeof (server as Partial<ToolServer> | undefined)?.registerTool === 'function'
  checkGiven(isServer, 'taskTools() takes a server object: taskTools(server)', server)
  const names = namesOf(options)
  const { status, result, cancel } = names
  const taskId = z.string().max(100).describe('The id of the task, as the tool that began it has told it')
  const waitMs = z
    .number()
    .int()
    .min(0)
    .max(LONGEST_WAIT_MS)
    .optional()
    .describe(`How long to wait for its end, in ms; default ${WAIT_MS}`)
  register(server, 'status', status, {
    title: 'Status of a task',
    description:
      `Tells how a long-running task is, at once: working, input_required, completed, failed or cancelled. ` +
      `To have its result, or to wait for it, call ${result}.`,
    inputSchema: z.object({ taskId }),
    annotations: { readOnlyHint: true, openWorldHint: false },
  })(({ taskId: id }) => statusOf(id, names))
  register(server, 'result', result, {
    title: 'Result of a task',
    description:
      `Waits for a long-running task, for a bounded time, and returns its result as the tool that began it would have. ` +
      `If the task is not over by then, it goes on and this tool says so: call it again later, also in another conversation. ` +
      `What the task asks its user is asked here.`,
    inputSchema: z.object({ taskId, waitMs }),
    annotations: { readOnlyHint: true, openWorldHint: false },
  })(({ taskId: id, waitMs: ms = WAIT_MS }) => resultOf(id, ms, names))
  register(server, 'cancel', cancel, {
    title: 'Cancel a task',
    description: `Stops a long-running task. What it has done so far is not undone. A task that is over stays as it is.`,
    inputSchema: z.object({ taskId }),
    annotations: { destructiveHint: true, idempotentHint: true, openWorldHint: false },
  })(({ taskId: id }) => cancelTask(id, names))
}

/** What a client is told that is given a task in place of a result, and knows of none but by these tools. */
export function startedText({ taskId }: { taskId: string }, { status, result, cancel }: TaskToolNames) {
  return (
    `This takes longer, and goes on as task ${taskId}. It is not done yet. ` +
    `Call ${result} with this taskId to wait for its result, now or at any later time; ${status} tells how far it is, ${cancel} stops it.`
  )
}

function namesOf(options: unknown): TaskToolNames {
  checkNames('taskTools()', options, ['names'])
  const { names = {} } = options as { names?: unknown }
  checkNames('taskTools(): `names`', names, Object.keys(NAMES), 'tool')
  for (const name of Object.values(names as object))
    if (typeof name !== 'string' || name === '')
      throw new TypeError(`taskTools(): a name is a string that is not empty. It is ${shown(name)}.`)
  return { ...NAMES, ...(names as Partial<TaskToolNames>) }
}

const register =
  (server: ToolServer, role: TaskToolRole, name: string, config: object) => (handler: Handler) => {
    roles.set(handler, role)
    server.registerTool(name, config as never, handler as never)
  }

/** While the store is away the tool waits for it, as all that runs in a call does. Whatever is done twice is done once. */
function patientTasks(): { tasks: CallerTasks; log: CallLog } {
  const { tasks, log } = currentTasks()
  const patiently = <T>(act: () => Promise<T>) => whileStoreFails(act, log.stop)
  const patient: CallerTasks = {
    read: (...of) => patiently(() => tasks.read(...of)),
    wait: (...of) => patiently(() => tasks.wait(...of)),
    answer: (...of) => patiently(() => tasks.answer(...of)),
    cancel: (...of) => patiently(() => tasks.cancel(...of)),
  }
  return { tasks: patient, log }
}

async function statusOf(taskId: string, names: TaskToolNames) {
  const { tasks, log } = patientTasks()
  const task = await tasks.read(taskId, log.caller.principal)
  return task ? told(task, describe(task, names)) : NOT_FOUND
}

async function cancelTask(taskId: string, names: TaskToolNames) {
  const { tasks, log } = patientTasks()
  const { principal } = log.caller
  if (!(await tasks.cancel(taskId, principal))) return NOT_FOUND
  const task = await tasks.wait(taskId, principal, { ms: STOPS_WITHIN_MS, signal: log.stop.signal })
  if (!task) return NOT_FOUND
  const isOpen = task.status === 'working' || task.status === 'input_required'
  return told(
    task,
    isOpen ? `Task ${taskId} was told to stop, and has not stopped yet.` : describe(task, names),
  )
}

async function resultOf(taskId: string, waitMs: number, names: TaskToolNames): Promise<ToolResult> {
  const { tasks, log } = patientTasks()
  const { principal } = log.caller
  const asked = new Set<string>()
  const until = performance.now() + waitMs
  for (;;) {
    const ms = Math.max(0, until - performance.now())
    const task = await tasks.wait(taskId, principal, { ms, signal: log.stop.signal })
    if (!task) return NOT_FOUND
    const { status, result, error } = task
    if (status === 'completed' && result) return ownResult(result)
    if (status !== 'input_required')
      return {
        ...told(task, error ? `Task ${taskId} has failed: ${error.message}` : describe(task, names)),
        ...isErrorOf(task),
      }
    const open = answerable(task, log).filter(([key]) => !asked.has(key))
    if (open.length === 0) return told(task, describe(task, names))
    for (const [key] of open) asked.add(key)
    await passOn(task, open, { tasks, log })
  }
}

/** As the tool has returned it, whatever version of the protocol it was called in. */
function ownResult(result: Record<string, unknown>) {
  const { resultType: _, ...own } = result
  return own as ToolResult
}

const isErrorOf = ({ status }: TaskSeen) => (status === 'working' ? {} : { isError: true })

/** What the task asks, as far as the client that asks for it can do that. */
function answerable({ inputRequests = {} }: TaskSeen, { clientCapabilities }: CallLog) {
  return Object.entries(inputRequests).filter(([, question]) =>
    hasCapability(clientCapabilities, capabilityFor(question)),
  )
}

/** The first answer to a question counts, whoever gives it. What is refused stays open. */
async function passOn(
  { taskId }: TaskSeen,
  open: ReadonlyArray<[string, OpenQuestion]>,
  { tasks, log }: { tasks: CallerTasks; log: CallLog },
) {
  await Promise.all(
    open.map(async ([key, question]) => {
      const answer: JsonRpcResponse = await log.ask(key, inFormOf(log, key, question))
      if ('result' in answer) await tasks.answer(taskId, log.caller.principal, { [key]: answer.result })
    }),
  )
}

/** In a session, what is asked by a URL has an id. */
function inFormOf({ request }: CallLog, key: string, { method, params }: OpenQuestion): OpenQuestion {
  const needsId = params['mode'] === 'url' && !isAlone(request)
  return { method, params: needsId ? { ...params, elicitationId: key } : params }
}

const NOT_FOUND: ToolResult = {
  content: [
    {
      type: 'text',
      text: 'There is no such task: its id is wrong, it was kept for its time, or it is not yours.',
    },
  ],
  isError: true,
}

function told(task: TaskSeen, text: string): ToolResult {
  const { inputRequests: _, result: __, error: ___, ...about } = task
  return { content: [{ type: 'text', text }], structuredContent: about }
}

function describe({ taskId, tool, status, statusMessage, ...task }: TaskSeen, names: TaskToolNames) {
  const of = `Task ${taskId} (${tool})`
  const how = statusMessage === undefined ? '' : ` It says: ${statusMessage}.`
  const inSeconds = Math.ceil(task.pollIntervalMs / 1000)
  switch (status) {
    case 'working':
      return `${of} is still working, since ${task.createdAt}.${how} Call ${names.result} to wait for it, or ask again in ${inSeconds} s or later.`
    case 'input_required':
      return `${of} waits for an answer of its user.${how} ${questionsOf(task)} Call ${names.result} from a client that can be asked.`
    case 'completed':
      return `${of} has completed. Call ${names.result} for its result.`
    case 'failed':
      return `${of} has failed. Call ${names.result} for its error.`
    case 'cancelled':
      return `${of} was cancelled. What it had done by then is not undone.`
  }
}

function questionsOf({ inputRequests = {} }: Pick<TaskSeen, 'inputRequests'>) {
  const messages = Object.values(inputRequests).map(({ method, params: { message } }) =>
    typeof message === 'string' ? message : method,
  )
  return messages.length === 0 ? '' : `It asks: ${messages.join(' / ')}`
}
