import type { CallRequest } from '../call/new-call.js'
import type { AuthInfo } from '../auth-info.js'
import { mirroredOf } from '../proxy/repeating-headers.js'
import type { MessageExtra } from '../session/transport.js'
import type { Exchange } from './exchange.js'
import { refuse } from './replies.js'

const MAX_KEY_CHARS = 255

type Asked = Pick<CallRequest, 'scope' | 'requests' | 'handlers' | 'task' | 'keptMs'> & {
  batch?: boolean
  server: string | undefined
  idempotencyKey: string | undefined
}

/** What is recorded of a POST when it becomes a call. */
export function callRequest(
  { services, principal, authInfo, request, protocolVersion }: Exchange,
  { scope, requests, batch = false, server, idempotencyKey, handlers, task, keptMs }: Asked,
): CallRequest {
  return {
    scope,
    principal,
    server,
    requests,
    batch,
    protocol: protocolVersion ?? '',
    idempotencyKey,
    authInfo: authInfo && storable(authInfo, services.keepToken),
    url: services.keepUrl ? request.url : undefined,
    mirrored: services.isProxy ? mirroredOf(request) : undefined,
    trace: services.signals.trace?.(),
    handlers,
    task,
    keptMs,
  }
}

/** What a journal keeps of the caller's authorization. What can't be written as JSON is left out, with all that is not standard. */
function storable({ token, ...info }: AuthInfo, keepToken: boolean): Record<string, unknown> {
  const kept = keepToken ? { token } : {}
  try {
    return { ...(JSON.parse(JSON.stringify(info)) as object), ...kept }
  } catch {
    const { clientId, scopes, expiresAt } = info
    return { clientId, scopes, expiresAt, ...kept }
  }
}

/** Sent by clients that repeat a POST whose answer they did not get; see `durableFetch`. */
export function idempotencyKeyOf(request: Request) {
  const key = request.headers.get('idempotency-key') ?? undefined
  if (key && key.length > MAX_KEY_CHARS)
    throw refuse.badRequest(`Idempotency-Key may have ${MAX_KEY_CHARS} characters`)
  return key
}

/** What the SDK hands to handlers beside the message. */
export function extraOf(exchange: Exchange, onHead?: () => void): MessageExtra {
  const { request, arrival, authInfo, services } = exchange
  const mirrored = services.isProxy ? mirroredOf(request) : undefined
  return { authInfo, request, arrival, requestInfo: new RequestInfo(request), mirrored, onHead }
}

/** Few handlers ask for it. A class: an object with getters of its own takes V8 a hidden class each, which outlives the call. */
class RequestInfo {
  readonly #request: Request

  constructor(request: Request) {
    this.#request = request
  }

  get headers() {
    return Object.fromEntries(this.#request.headers)
  }

  get url() {
    return new URL(this.#request.url)
  }

  toJSON() {
    const { headers, url } = this
    return { headers, url }
  }
}
