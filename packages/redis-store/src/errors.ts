import { StoreError } from '@mcp-durable/core/store'

/** Replies of a server that refuses everything for now, before it has done anything. */
const REFUSED_FOR_NOW =
  /^(Too many Cluster redirections. Last error: ReplyError: )?(READONLY|CLUSTERDOWN|LOADING|MASTERDOWN|TRYAGAIN|UNBLOCKED|NOREPLICAS|BUSY|NOSCRIPT|MOVED|ASK) /
const NEVER_SENT =
  /^(Stream isn't writeable|Cluster isn't ready|None of startup nodes|No sharded subscriber|No subscriber)/
const CONNECTION =
  /^(Connection is closed|Command timed out|Command aborted|Cluster is ended|Too many Cluster redirections|Socket)/

/** Replies to what would be refused the next time too: it is too large, or a key of ours holds something else. */
const REFUSED_FOR_GOOD = /^(WRONGTYPE |ERR Protocol error: |ERR string exceeds maximum allowed size)/

/** What Redis says of an id that is not above the last one of a stream. */
const NOT_ABOVE = 'equal or smaller'

export class DeadlineError extends Error {}

export function unavailable(status: string, cause?: unknown) {
  const message = `Redis is not reachable (the client is '${status}'). Nothing was sent; it resumes by itself when Redis is back.`
  return new StoreError('store-unavailable', message, cause === undefined ? undefined : { cause })
}

/**
 * Why a command failed. `interrupted`: a connection broke since it was sent, so an earlier sending of the same
 * command may have been applied, whatever this one was answered.
 */
export function storeError(cause: unknown, interrupted: boolean): StoreError {
  if (cause instanceof StoreError) return cause
  const message = messageOf(cause)
  // ioredis attaches the arguments, which are the users' data, and errors end up in logs.
  if (cause instanceof Error) Reflect.deleteProperty(cause, 'command')
  if (REFUSED_FOR_GOOD.test(message)) return refusedForGood(message, cause)
  const refused = REFUSED_FOR_NOW.test(message) || NEVER_SENT.test(message)
  if (refused && !interrupted) {
    return new StoreError('store-unavailable', `Redis takes no commands for now: ${message}`, { cause })
  }
  if (refused || isConnectionError(cause, message)) {
    return new StoreError('store-timeout', `Redis did not answer, the outcome is unknown: ${message}`, {
      cause,
    })
  }
  return new StoreError('store-failed', `Redis refused the command: ${message}`, { cause })
}

export function refusedForGood(message: string, cause?: unknown) {
  return new StoreError('store-refused', `Redis refuses this, and would each time: ${message}`, { cause })
}

/** Why a subscription failed: `store-failed` if the server will never have it, as with a user who lacks the right. */
export function subscriptionError(cause: unknown, command: string): StoreError {
  const error = storeError(cause, false)
  if (error.code !== 'store-failed') return error
  const message = `Redis refused ${command}, with which a node listens for wake-ups: ${messageOf(cause)}`
  return new StoreError('store-failed', message, { cause })
}

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

export const isRefusal = (message: string) => message.includes(NOT_ABOVE)

/** A proxy or a server of a Cluster refused a command of several slots. */
export const isOfSeveralSlots = (error: unknown) =>
  error instanceof StoreError && error.message.includes('CROSSSLOT')

function isConnectionError(cause: unknown, message: string) {
  if (cause instanceof DeadlineError || CONNECTION.test(message)) return true
  if (!(cause instanceof Error)) return false
  return cause.name === 'MaxRetriesPerRequestError' || cause.name === 'AbortError' || 'syscall' in cause
}
