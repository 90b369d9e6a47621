import { AsyncScope, currentScope, followScopes, runInScope } from './async-scope.js'
import { ErrorCode } from '../json-rpc.js'
import type { CallLog } from './call-log.js'
import type { CallerTasks } from './caller-tasks.js'
import type { ContextStore } from '../store/context-store.js'
import { DurableContext } from './context.js'
import { NoContextError, UnknownHandleError } from './errors.js'
import type { ContextLimits } from './limits.js'
import type { Ending } from './replay-log.js'

/** What the layers below give to the handler of one dispatched request. */
export type RunningCall = {
  log: CallLog
  store: ContextStore
  /** Tasks of whoever has sent the request. */
  tasks?: CallerTasks | undefined
  limits?: ContextLimits | undefined
  /** Told when a wrapped handler is about to begin, which waits for it. */
  onBegin?: (() => Promise<unknown>) | undefined
  /** Told when a wrapped handler has ended, before the SDK hears of it. */
  onHandled?: ((handled: HandledCall) => void) | undefined
}

/** A wrapped handler that has ended; with the log of its call it can be replayed for comparison. */
export type HandledCall = {
  ending: Ending
  /** The ids of the steps that this run has begun. */
  begun: ReadonlySet<string>
  /** Runs the handler with the same arguments as another call. */
  rerun: (call: RunningCall) => Promise<unknown>
}

/** One context for the whole request, made when it is first asked for: most handlers never do. */
class Run implements RunningCall, Record<keyof RunningCall, unknown> {
  readonly log: CallLog
  readonly store: ContextStore
  readonly tasks: CallerTasks | undefined
  readonly limits: ContextLimits | undefined
  readonly onBegin: RunningCall['onBegin']
  readonly onHandled: RunningCall['onHandled']
  context: DurableContext | undefined
  extra: unknown
  handling = false

  constructor({ log, store, tasks, limits, onBegin, onHandled }: RunningCall) {
    this.log = log
    this.store = store
    this.tasks = tasks
    this.limits = limits
    this.onBegin = onBegin
    this.onHandled = onHandled
  }
}

const currentRun = () => currentScope().run as Run | undefined

/** Runs `dispatch`, and the handler below it, as this call; the caller follows scopes until that has ended. */
export function runInCall<T>(call: RunningCall, dispatch: () => T): T {
  return runInScope(new AsyncScope(new Run(call)), dispatch)
}

/** The log of the call or replay that the code runs in, if it does. */
export function currentLog(): CallLog | undefined {
  return currentRun()?.log
}

/** The tasks that the code may act on, and the log of the call that it runs in. Throws `NoContextError` where it runs in none. */
export function currentTasks(): { log: CallLog; tasks: CallerTasks } {
  const { log, tasks } = currentRun() ?? {}
  if (log && tasks) return { log, tasks }
  throw new NoContextError(
    'A tool of taskTools() was called outside of durable(). Mount the server with durable({ server }), which keeps its tasks.',
  )
}

/** The context of the handler that the code runs below, however deep. Throws `NoContextError` where there is none. */
export function durableContext(): DurableContext {
  const run = currentRun()
  if (!run) {
    throw new NoContextError(
      'There is no durable context here. durableContext() works in a handler, and in what it calls and waits for, of a server that durable() serves.',
    )
  }
  return contextOf(run)
}

/** Runs a wrapped handler with the context of its request; the context ends with it. `thrown`: what becomes of what it throws. */
export async function withContext<T>(
  extra: unknown,
  handler: (context: DurableContext<never>) => T | Promise<T>,
  thrown: (error: unknown) => unknown = forClient,
): Promise<T> {
  const run = currentRun()
  if (!run) {
    throw new NoContextError(
      'A durable handler was called outside of durable(). Mount the server with durable({ server }), which gives such handlers their context.',
    )
  }
  const context = contextOf(run)
  // A wrapped handler may call another one, which shares its context and does not end it.
  if (run.handling) return handler(context as DurableContext<never>)
  run.handling = true
  run.extra = extra
  if (run.onBegin) await run.onBegin()
  const ending = await endingOf(() => handler(context as DurableContext<never>))
  if ('result' in ending) context.requireFit()
  if ('error' in ending) context.failed(ending.error)
  const begun = endContext(run, context, 'result' in ending)
  const { limits } = run
  const rerun = async (call: RunningCall) => {
    const unfollow = followScopes()
    try {
      return await runInCall({ ...(limits && { limits }), ...call }, () =>
        withContext(extra, handler, asItIs),
      )
    } finally {
      unfollow()
    }
  }
  run.onHandled?.({ ending, begun, rerun })
  if ('error' in ending) throw thrown(ending.error)
  return ending.result as T
}

function endContext({ log, onHandled }: Run, context: DurableContext, succeeded: boolean) {
  const { begun, unfinished } = context.end()
  // What fails leaves alone what ran beside it; what succeeds should have waited for it.
  const forgotten = succeeded ? unfinished : []
  if (forgotten.length > 0) log.tell(onHandled ? 'error' : 'warn', { steps: forgotten }, FORGOTTEN)
  return begun
}

const FORGOTTEN =
  'a durable handler ended before steps that it had begun: they are stopped, and what they come to is lost. Await them'

/** What the SDK makes a result of where a tool has thrown it, and else an error with its code. */
function forClient(error: unknown) {
  if (!(error instanceof UnknownHandleError)) return error
  return Object.assign(new Error(error.message, { cause: error }), { code: ErrorCode.invalidParams })
}

/** A replay is compared with how the handler itself has ended. */
const asItIs = (error: unknown) => error

async function endingOf(handler: () => unknown): Promise<Ending> {
  try {
    return { result: await handler() }
  } catch (error) {
    return { error }
  }
}

function contextOf(run: Run): DurableContext {
  if (run.context) return run.context
  const context = (run.context = new DurableContext(run.log, run.store, run, run.limits))
  run.log.answered = (succeeded) => {
    if (!run.handling) endContext(run, context, succeeded)
  }
  return context
}
