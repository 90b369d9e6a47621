import { MisconfiguredError } from '../errors.js'
import { withinMs } from '../within.js'
import type { ServerFactory, ServerObject, SessionInfo } from './server-factory.js'

const MADE_WITHIN_MS = 30_000

/** Every server object that a factory of this process has made. */
const made = new WeakSet<object>()

/**
 * Asks the application's factory for a server object. Throws a `MisconfiguredError` unless it is one, and a new one: an object
 * that serves two sessions sends what belongs to one client to another. SDKs before 1.26 don't tell.
 */
export async function freshServer(factory: ServerFactory, session: SessionInfo): Promise<ServerObject> {
  const making = factory(session)
  const server = making instanceof Promise ? await inTime(making) : making
  if (!isServerObject(server)) throw new MisconfiguredError(`\`server\` returned ${described(server)}`)
  // Of an `McpServer`, what is connected is the `Server` in it, which a factory may return as well.
  const connects = server.server ?? server
  if (made.has(connects)) throw new MisconfiguredError(AGAIN)
  if (connects.transport !== undefined) throw new MisconfiguredError(CONNECTED)
  made.add(connects)
  return server
}

async function inTime(making: Promise<ServerObject>) {
  const late = () => new MisconfiguredError(`\`server\` did not return within ${MADE_WITHIN_MS / 1000} s`)
  try {
    return await withinMs(making, MADE_WITHIN_MS, late)
  } catch (error) {
    // What comes too late is not used.
    making.then((server) => server.close()).catch(() => undefined)
    throw error
  }
}

type Connects = ServerObject & { transport?: unknown }

function isServerObject(value: unknown): value is Connects & { server?: Connects } {
  return (
    typeof value === 'object' && value !== null && isFunction(value, 'connect') && isFunction(value, 'close')
  )
}

function described(value: unknown): string {
  if (value === undefined || value === null) return `${value}; perhaps the factory lacks a \`return\``
  if (typeof value === 'function')
    return 'a function; it must return a server object, as `() => createMyServer()` does'
  if (typeof value !== 'object') return `a value of type ${typeof value} and no server object`
  if (isFunction(value, 'fetch')) return 'a web application and no server object; give it as `handler`'
  return 'something without connect() and close(): an `McpServer` or `Server` of the MCP SDK is wanted'
}

const isFunction = (value: object, name: string) =>
  typeof (value as Record<string, unknown>)[name] === 'function'

const AGAIN =
  '`server` returned a server object that it had returned before. It must make a new one each time it is called, also for ' +
  'the same session again: an object that is shared sends to one client what belongs to another'
const CONNECTED =
  '`server` returned a server object that is connected already; leave connect() to mcp-durable'
