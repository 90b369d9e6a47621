import { MisconfiguredError } from '../errors.js'
import { MAX_DEPTH, nestsDeeper } from '../json-depth.js'
import { isMessage } from '../json-rpc-shapes.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import { Refusal, refuse } from './replies.js'

const MAX_BATCH = 100

export type Body = { messages: readonly JsonRpcMessage[]; batch: boolean }

/** As a parsed body: somebody has read the body, or a part of it, and kept nothing. */
export const BODY_TAKEN = Symbol('body taken')

/**
 * Reads and checks the body of a POST. `parsed`: what something before us has read it to; a text or bytes (`express.text()`,
 * `express.raw()`) are JSON still. How long a parsed body was is known from its Content-Length alone, if it has one.
 */
export async function readBody(from: Request, maxBytes: number, parsed: unknown): Promise<Body> {
  if (parsed === BODY_TAKEN || (parsed === undefined && from.bodyUsed)) throw new MisconfiguredError(TAKEN)
  const length = Number(from.headers.get('content-length') ?? Number.NaN)
  if (length > maxBytes) throw refuse.tooLarge(maxBytes)
  const isCounted = Number.isInteger(length)
  const text = parsed === undefined ? await readText(from, isCounted, maxBytes) : textOf(parsed, maxBytes)
  // Of a text it is known before it is parsed, which would take much memory.
  if (text === undefined ? nestsDeeperThan(MAX_DEPTH, parsed) : nestsDeeper(MAX_DEPTH, text))
    throw refuse.invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`)
  const body = text === undefined ? parsed : parseJson(text)
  if (!Array.isArray(body)) return { messages: [checked(body)], batch: false }
  if (body.length === 0) throw refuse.invalidRequest('a batch must not be empty')
  if (body.length > MAX_BATCH) throw refuse.invalidRequest(`a batch may have ${MAX_BATCH} messages`)
  return { messages: body.map(checked), batch: true }
}

function checked(candidate: unknown): JsonRpcMessage {
  if (!isMessage(candidate)) throw refuse.invalidRequest('not a JSON-RPC 2.0 message of MCP')
  return candidate
}

/** Not recursive: it is there to protect what is. */
function nestsDeeperThan(limit: number, body: unknown): boolean {
  let level: unknown[] = [body]
  for (let depth = 0; depth <= limit; depth++) {
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    )
    if (level.length === 0) return false
  }
  return true
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw refuse.parseError()
  }
}

async function readText(from: Request, isCounted: boolean, maxBytes: number): Promise<string> {
  const encoding = from.headers.get('content-encoding')
  if (encoding !== null && encoding.toLowerCase() !== 'identity') throw refuse.unsupportedEncoding()
  try {
    // HTTP parsers hold a sender to its Content-Length; only without one does the body need counting.
    return isCounted ? await from.text() : await readCounted(from, maxBytes)
  } catch (error) {
    throw error instanceof Refusal ? error : refuse.badRequest('the body was not sent to its end')
  }
}

async function readCounted(from: Request, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of from.body ?? []) {
    size += chunk.byteLength
    if (size > maxBytes) throw refuse.tooLarge(maxBytes)
    chunks.push(chunk)
  }
  return utf8.decode(Buffer.concat(chunks))
}

/** Undefined if it is parsed already. */
function textOf(parsed: unknown, maxBytes: number): string | undefined {
  if (typeof parsed !== 'string' && !(parsed instanceof Uint8Array)) return undefined
  if (Buffer.byteLength(parsed) > maxBytes) throw refuse.tooLarge(maxBytes)
  return utf8.decode(typeof parsed === 'string' ? Buffer.from(parsed) : parsed)
}

/** As `Request.text()` does, it leaves out a byte order mark. */
const utf8 = new TextDecoder()
const TAKEN =
  'the body of a request was read before, and nothing is left of it. Mount mcp-durable before what reads it, or hand on ' +
  'what was read: as `req.body` on Node.js, as `parsedBody` to fetch(); with Hono, read it with the methods of `c.req`'
