import {
  isRefused,
  isForgotten,
  isSealed,
  MisconfiguredError,
  NodeLeavingError,
  NotJsonError,
  RecordTooLargeError,
  StoreError,
  SealError,
} from '../errors.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import type { JsonRpcError, RequestId } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { versionsOf } from '../protocol.js'
import type { Era } from '../protocol.js'
import { httpAnswerOf } from '../proxy/refusal.js'
import {
  ServerRefusedError,
  ServersBusyError,
  ServerSilentError,
  ServerUnknownError,
  SessionGoneError,
} from '../session/session-errors.js'

/** A refusal, ready to be sent: an HTTP status and a JSON-RPC error that says what to do. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly headers: Record<string, string> = {},
    readonly data?: unknown,
  ) {
    super(message)
  }

  /** `id`: the request's, where there is exactly one to name. */
  toResponse(id: RequestId | null = null): Response {
    const { code, message, data } = this
    const error = { code, message, ...(data !== undefined && { data }) }
    return json({ ...errorResponse(id, code, message), error }, this.status, this.headers)
  }
}

const RETRY_AFTER_SECONDS = '1'

/** The specification's answers, "Streamable HTTP" of 2025-11-25; codes are the SDK's where the specification names none. */
export const refuse = {
  /** 2026-07-28: what a request says of itself, and the headers that repeat it. */
  headerMismatch: (message: string) =>
    new Refusal(400, ErrorCode.headerMismatch, `Header mismatch: ${message}`),
  /** 2026-07-28, "Multi Round-Trip Requests": it is none of ours, of another caller or request, or its call is not kept any more. */
  invalidState: () =>
    new Refusal(
      200,
      ErrorCode.invalidParams,
      'Invalid params: this requestState is not valid here: its call has ended some time ago, or is another request’s or ' +
        'caller’s. Send the request without it.',
      {},
      {
        reason: 'invalid_request_state',
      },
    ),
  otherRequest: () =>
    new Refusal(
      422,
      ErrorCode.invalidParams,
      'Invalid params: this Idempotency-Key was sent with another request. Take a new one for each.',
    ),
  taskNotFound: () =>
    new Refusal(
      400,
      ErrorCode.invalidParams,
      'Invalid params: there is no such task. It was kept for its time (ttlMs), or is not yours.',
    ),
  lacksExtension: (extension: string) =>
    new Refusal(
      400,
      ErrorCode.missingCapability,
      `The client must declare the extension ${extension} for this request.`,
      {},
      { requiredCapabilities: { extensions: { [extension]: {} } } },
    ),
  invalidParams: (message: string) => new Refusal(400, ErrorCode.invalidParams, `Invalid params: ${message}`),
  methodNotFound: (method: string) =>
    new Refusal(404, ErrorCode.methodNotFound, `Method not found: ${method} is not in this protocol version`),
  /** `requested`: `null` where the request names none. */
  unsupportedVersion: (requested: string | null, eras: ReadonlySet<Era>) => {
    const supported = versionsOf(eras)
    const data = { supported, ...(requested !== null && { requested }) }
    const message = `Unsupported protocol version: ${requested ?? 'none is named'} (supported: ${supported.join(', ')})`
    return new Refusal(400, ErrorCode.unsupportedVersion, message, {}, data)
  },
  badRequest: (message: string) => new Refusal(400, ErrorCode.refused, `Bad Request: ${message}`),
  parseError: () => new Refusal(400, ErrorCode.parseError, 'Parse error: the body is not valid JSON'),
  invalidRequest: (message: string) =>
    new Refusal(400, ErrorCode.invalidRequest, `Invalid Request: ${message}`),
  forbidden: (message: string) => new Refusal(403, ErrorCode.refused, `Forbidden: ${message}`),
  sessionNotFound: () =>
    new Refusal(
      404,
      ErrorCode.sessionNotFound,
      'Session not found: it has ended or expired. Send initialize to begin a new one.',
    ),
  callNotFound: () =>
    new Refusal(
      404,
      ErrorCode.sessionNotFound,
      'Call not found: it has ended some time ago, or is not yours. Send the request again.',
    ),
  methodNotAllowed: (...allowed: string[]) => {
    const allow = allowed.join(', ') || 'GET, POST, DELETE'
    return new Refusal(405, ErrorCode.refused, `Method not allowed: use ${allow}`, { allow })
  },
  notAcceptable: (types: string) =>
    new Refusal(406, ErrorCode.refused, `Not Acceptable: Client must accept ${types}`),
  eventsGone: (what = 'Open the stream without it.') =>
    new Refusal(
      410,
      ErrorCode.refused,
      `Gone: events after this Last-Event-ID are not kept any more. ${what}`,
    ),
  tooLarge: (limit: number) =>
    new Refusal(413, ErrorCode.refused, `Payload Too Large: the body may have ${limit} bytes`),
  answersFull: () =>
    new Refusal(
      413,
      ErrorCode.refused,
      'Payload Too Large: the answers of this call have as many bytes as they may (maxInboxBytes)',
    ),
  unsupportedMediaType: () =>
    new Refusal(415, ErrorCode.refused, 'Unsupported Media Type: Content-Type must be application/json'),
  unsupportedCharset: () =>
    new Refusal(
      415,
      ErrorCode.refused,
      'Unsupported Media Type: JSON is sent as UTF-8 (RFC 8259, section 8.1)',
    ),
  unsupportedEncoding: () =>
    new Refusal(
      415,
      ErrorCode.refused,
      'Unsupported Media Type: send the body without Content-Encoding; compressed bodies are not read',
      { 'accept-encoding': 'identity' },
    ),
  /** `passes`: there may be room in a moment, without anybody making it. */
  tooMany: (what: string, passes = true) =>
    new Refusal(
      429,
      ErrorCode.refused,
      `Too Many Requests: ${what}`,
      passes ? { 'retry-after': RETRY_AFTER_SECONDS } : {},
    ),
  overQuota: ({ limit, retryAfterMs }: { limit: string; retryAfterMs: number }) =>
    new Refusal(429, ErrorCode.refused, `Too Many Requests: ${limit}`, {
      'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))),
    }),
  unavailable: (message: string) =>
    new Refusal(503, ErrorCode.refused, `Service Unavailable: ${message}`, {
      'retry-after': RETRY_AFTER_SECONDS,
    }),
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return jsonText(JSON.stringify(body), status, headers)
}

export function jsonText(text: string, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(text, {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** The word of the server behind this one, with its status. */
export function refusalWith(response: JsonRpcError): Refusal {
  const { code, message, data } = response.error
  const { status = 502, headers = {} } = httpAnswerOf(response) ?? {}
  return new Refusal(status, code, message, headers, data)
}

/** What a failure means to the client. Details stay in the log. */
export function refusalFor(error: unknown, logger: Logger): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof ServerRefusedError) return refusalWith(error.refusal)
  if (error instanceof ServerSilentError) {
    logger.warn({ error }, 'a request to the server failed')
    return new Refusal(502, ErrorCode.internalError, `Bad Gateway: ${error.message}`)
  }
  if (error instanceof SessionGoneError || isForgotten(error)) return refuse.sessionNotFound()
  if ([ServersBusyError, ServerUnknownError, NodeLeavingError].some((kind) => error instanceof kind))
    return refuse.unavailable((error as Error).message)
  if (error instanceof RecordTooLargeError)
    return new Refusal(
      413,
      ErrorCode.refused,
      `Payload Too Large: the request can't be recorded: ${error.message}`,
    )
  // Of a message that is nested too deeply to be looked through.
  if (error instanceof RangeError && error.message.includes('call stack'))
    return refuse.invalidRequest('it is nested too deeply')
  if (error instanceof NotJsonError) return refuse.invalidRequest(`it can't be recorded: ${error.message}`)
  if (isSealed(error)) {
    logger.error({ error }, 'a request needs what is sealed with a key that this node has not')
    return refuse.unavailable('this node can not read what the request needs; another one can. Try again.')
  }
  if (error instanceof SealError) {
    logger.error({ error }, 'a request needs a record that was altered, or is not sealed')
    return new Refusal(
      500,
      ErrorCode.internalError,
      'Internal error: what the store holds for the request was altered; the log says more',
    )
  }
  if (isRefused(error)) {
    logger.error({ error }, 'the store refused a request for what it is')
    return new Refusal(413, ErrorCode.refused, 'Payload Too Large: the store does not take the request')
  }
  if (error instanceof StoreError) {
    logger.warn(
      { code: error.code, reason: error.message },
      'a request was refused because the store is away',
    )
    return refuse.unavailable('the session store is away; nothing was done. Try again.')
  }
  const isSetup = error instanceof MisconfiguredError
  logger.error(
    { error: isSetup ? (error.cause ?? error) : error },
    isSetup ? error.message : 'a request failed',
  )
  return new Refusal(
    500,
    ErrorCode.internalError,
    isSetup
      ? 'Internal error: the server is set up wrongly; its log says how'
      : 'Internal error: the server could not make the session ready',
  )
}
