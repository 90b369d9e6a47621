import { hash, randomBytes } from 'node:crypto'
import type { JsonRpcRequest, RequestId } from './json-rpc.js'

export const RANDOM_ID_BYTES = 16
const POOL_BYTES = 4096
let pool = Buffer.alloc(0)

/** 128 random bits, 22 characters of base64url: sessions, calls, nodes and nonces. Drawn in bulk; each byte is used once. */
export function randomId() {
  if (pool.length === 0) pool = randomBytes(POOL_BYTES)
  const id = pool.toString('base64url', 0, RANDOM_ID_BYTES)
  pool = pool.subarray(RANDOM_ID_BYTES)
  return id
}

export const isRandomId = (text: string) => /^[\w-]{22}$/.test(text)

/** Different for different texts. Of half a surrogate pair UTF-8 makes U+FFFD, whichever it is; 0xff begins no text in UTF-8. */
export function digest(text: string): string {
  const bytes = isWellFormed(text) ? text : Buffer.concat([NO_TEXT, Buffer.from(text, 'utf16le')])
  return hash('sha256', bytes, 'base64url').slice(0, 22)
}

/** Without half a surrogate pair. In Node.js since 20, in the types of ES2024. */
export const isWellFormed = (text: string) => (text as string & { isWellFormed(): boolean }).isWellFormed()

const NO_TEXT = Buffer.of(0xff)

/**
 * The `sessionId` of handlers, hooks, `notify` and the store, for a client's `Mcp-Session-Id`. That one is a secret: where
 * there is no principal, whoever has it may use the session. It is in headers only; nothing stores it, and no digest leads
 * back to it.
 */
export const sessionIdOf = (mcpSessionId: string) => digest(mcpSessionId)

/**
 * Names a request among the open calls of a session, by id and by content: a client that sends the same again
 * means the same call, and another client of the session may use the same id for something else. With an
 * idempotency key of the client, only requests that have the same one are the same.
 */
export const requestKey = ({ id, method, params }: JsonRpcRequest, idempotencyKey?: string) =>
  `${requestKeyPrefix(id)}${digest(JSON.stringify([method, params, idempotencyKey]))}`

/** What the keys of all requests with this id begin with. `1` and `"1"` differ. */
export const requestKeyPrefix = (id: RequestId) => (typeof id === 'number' ? `${id}:` : `"${digest(id)}:`)
