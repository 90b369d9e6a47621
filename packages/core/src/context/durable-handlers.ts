import { checkNames, shown } from '../known-options.js'
import type { DurableContext } from './context.js'
import { TasksNeededError } from './errors.js'
import { currentLog, withContext } from './run-context.js'
import { takesTasks, TASKS } from '../protocol.js'

/** The last argument of the SDK's handlers: `RequestHandlerExtra` of 1.x, or `ServerContext` of 2.x. */
export type HandlerExtra = { requestId: string | number; signal: AbortSignal } | { mcpReq: object }
/** The arguments of a tool or prompt that declares none. */
export type NoArgs = Record<string, never>

/** The SDK calls a handler with `(args, extra)`, or with `(extra)` alone where there is no input schema. */
type ArgsOf<First> = NotInferred<First> extends true ? NoArgs : First extends HandlerExtra ? NoArgs : First
type ExtraOf<First, Extra> = First extends HandlerExtra
  ? First
  : NotInferred<Extra> extends true
    ? HandlerExtra
    : Extra
type NotInferred<T> = 0 extends 1 & T ? false : unknown extends T ? true : false

type WithContext<Args extends readonly unknown[]> = Args extends readonly [...infer Own, infer Extra]
  ? [...Own, context: DurableContext<Extra>]
  : never

/**
 * Whether a call of a tool may be a task, if its client takes tasks (2026-07-28, extension `io.modelcontextprotocol/tasks`) or the
 * server has `taskTools()`.
 * `auto`: it becomes one when it has not ended soon; `always`: at once; `never`. `required`: as `auto`, and clients that take
 * none are refused. What a call asks before it is a task, its client answers first.
 */
export type TaskMode = 'auto' | 'always' | 'never' | 'required'
export type ToolOptions = { task?: TaskMode }

const MODES: readonly unknown[] = ['auto', 'always', 'never', 'required'] satisfies TaskMode[]

const durable = new WeakSet<object>()
const modes = new WeakMap<object, TaskMode>()

/** True for a handler that one of the functions here has made: its call may be run again. */
export function isDurable(handler: unknown): boolean {
  return typeof handler === 'function' && durable.has(handler)
}

/** `undefined`: it is no durable tool. */
export const taskModeOf = (handler: unknown): TaskMode | undefined =>
  typeof handler === 'function' ? modes.get(handler) : undefined

/**
 * Makes a tool's handler durable: `server.registerTool(name, config, durableTool(async (args, ctx) => …))`, for servers
 * of either major of the SDK. If its node dies, another one runs the handler again from its start; the steps of `ctx`
 * that have ended return what they returned before. `args` is `{}` for a tool without an input schema.
 */
export function durableTool<First, Result, Extra = unknown>(
  handler: ToolHandler<First, Result, Extra>,
): (first: First, extra?: Extra) => Promise<Result>
export function durableTool<First, Result, Extra = unknown>(
  options: ToolOptions,
  handler: ToolHandler<First, Result, Extra>,
): (first: First, extra?: Extra) => Promise<Result>
export function durableTool<First, Result, Extra = unknown>(
  ...given: [ToolHandler<First, Result, Extra>] | [ToolOptions, ToolHandler<First, Result, Extra>]
): (first: First, extra?: Extra) => Promise<Result> {
  const handler = given.at(-1) as ToolHandler<First, Result, Extra>
  checkHandler('durableTool', 'registerTool', given.length > 2 || isText(given[0]) ? given[0] : handler)
  const { task = 'auto' } = given.length > 1 ? checkToolOptions(given[0]) : {}
  const marked = wrap(handler, task === 'required')
  modes.set(marked, task)
  return marked
}

/** As `registerTool` takes a name. */
const isText = (value: unknown) => typeof value === 'string'

type ToolHandler<First, Result, Extra> = (
  args: ArgsOf<First>,
  context: DurableContext<ExtraOf<First, Extra>>,
) => Result | Promise<Result>

function wrap<First, Result, Extra>(
  handler: ToolHandler<First, Result, Extra>,
  needsTasks: boolean,
): (first: First, extra?: Extra) => Promise<Result> {
  return mark((...given: [First, Extra?]) =>
    withContext(given.at(-1), async (context) => {
      if (needsTasks) requireTasks()
      const args = given.length > 1 ? given[0] : {}
      return handler(args as ArgsOf<First>, context)
    }),
  )
}

function requireTasks() {
  const log = currentLog()
  if (!log || takesTasks(log.request)) return
  log.lacks?.(`extensions.${TASKS}`)
  throw new TasksNeededError()
}

function checkToolOptions(options: unknown): ToolOptions {
  checkNames('durableTool()', options, ['task'])
  const { task } = options as { task?: unknown }
  if (task !== undefined && !MODES.includes(task))
    throw new TypeError(`durableTool(): \`task\` must be one of ${MODES.join(', ')}. It is ${shown(task)}.`)
  return options as ToolOptions
}

/** Makes a prompt's handler durable: `server.registerPrompt(name, config, durablePrompt(async (args, ctx) => …))`. */
export function durablePrompt<First, Result, Extra = unknown>(
  handler: (args: ArgsOf<First>, context: DurableContext<ExtraOf<First, Extra>>) => Result | Promise<Result>,
): (first: First, extra?: Extra) => Promise<Result> {
  checkHandler('durablePrompt', 'registerPrompt', handler)
  return wrap(handler, false)
}

/**
 * Makes a resource's handler durable: `durableResource(async (uri, ctx) => …)`, and for a template
 * `durableResource(async (uri, variables, ctx) => …)`.
 */
export function durableResource<Args extends readonly unknown[], Result>(
  handler: (...args: WithContext<Args>) => Result | Promise<Result>,
): (...args: Args) => Promise<Result> {
  checkHandler('durableResource', 'registerResource', handler)
  return mark((...given: Args) =>
    withContext(given.at(-1), async (context) => {
      const args = [...given.slice(0, -1), context]
      return handler(...(args as WithContext<Args>))
    }),
  )
}

/** Each of them takes one handler, and is no way to register it. */
function checkHandler(wrapper: string, register: string, handler: unknown) {
  if (typeof handler === 'function') return
  const given = typeof handler === 'string' ? 'a name' : shown(handler)
  throw new TypeError(
    `${wrapper}() takes a handler, and was given ${given}: server.${register}(…, ${wrapper}(async (…, ctx) => …)).`,
  )
}

function mark<Handler extends object>(handler: Handler): Handler {
  durable.add(handler)
  return handler
}
