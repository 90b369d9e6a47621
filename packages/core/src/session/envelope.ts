import { digest } from '../ids.js'
import { asksForInput, mayAsk } from '../input-required.js'
import { ErrorCode } from '../json-rpc.js'
import type { JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { META, metaOf, SESSIONLESS, TASKS } from '../protocol.js'

/** The version that server objects are told: what they do in it is put into the form of 2026-07-28 afterwards. */
const SPOKEN = '2025-11-25'

type Info = { name: string; version: string; [key: string]: unknown }
const ANONYMOUS: Info = { name: 'unknown', version: '0' }

export const clientInfoOf = (request: JsonRpcRequest) =>
  (metaOf(request)[META.clientInfo] as Info | undefined) ?? ANONYMOUS

/** `initialize` as a client would have sent it that says this of itself. */
export function initializeFor(request: JsonRpcRequest): JsonRpcRequest {
  const capabilities = metaOf(request)[META.clientCapabilities] ?? {}
  const params = { protocolVersion: SPOKEN, capabilities, clientInfo: clientInfoOf(request) }
  return { jsonrpc: '2.0', id: 0, method: 'initialize', params }
}

/** The same for all requests that a server object could not tell apart by who asks. */
export const clientKeyOf = (request: JsonRpcRequest, principal: string | undefined) =>
  digest(JSON.stringify([principal ?? null, initializeFor(request).params]))

/** Results that clients may keep, which say for how long (2026-07-28, "Caching"). */
const KEPT = new Set([
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])

const NOT_FOUND_BEFORE = -32002

/** What a server object that was told of 2025-11-25 answers, as it is said in 2026-07-28; what has that form keeps it. */
export function sessionlessForm(
  request: JsonRpcRequest,
  response: JsonRpcResponse,
  serverInfo: unknown,
): JsonRpcResponse {
  const { method, params } = request
  if ('error' in response) {
    const { error } = response
    const code = error.code === NOT_FOUND_BEFORE ? ErrorCode.invalidParams : error.code
    // What is not there is named.
    const isUnnamed =
      method === 'resources/read' && code === ErrorCode.invalidParams && error.data === undefined
    return { ...response, error: { ...error, code, ...(isUnnamed && { data: { uri: params?.['uri'] } }) } }
  }
  const { _meta, ...result } = response.result as { _meta?: Record<string, unknown> }
  const isKept = KEPT.has(method) && !asksForInput(response)
  return {
    ...response,
    result: {
      resultType: 'complete',
      ...(isKept && { ttlMs: 0, cacheScope: 'private' }),
      ...result,
      _meta: { ...(serverInfo !== undefined && { [META.serverInfo]: serverInfo }), ..._meta },
    },
  }
}

/** Of a server that asks for input by itself: the client gets a handle to the call, and the server's own state stays in its journal. */
export function handleForm(
  request: JsonRpcRequest,
  response: JsonRpcResponse,
  handle: () => string,
): JsonRpcResponse {
  if (!mayAsk(request) || !asksForInput(response)) return response
  return { ...response, result: { ...response.result, requestState: handle() } }
}

/** Of a handler that has failed for want of a capability of the client: the error that says so. */
export function lackingForm(response: JsonRpcResponse, capability: string | undefined): JsonRpcResponse {
  if (capability === undefined || !('result' in response) || response.result['isError'] !== true)
    return response
  const dot = capability.indexOf('.')
  const [feature, part] =
    dot < 0 ? [capability, undefined] : [capability.slice(0, dot), capability.slice(dot + 1)]
  const requiredCapabilities = { [feature]: part === undefined ? {} : { [part]: {} } }
  const message = `The client must declare the capability ${capability} for this request.`
  const error = { code: ErrorCode.missingCapability, message, data: { requiredCapabilities } }
  return { jsonrpc: '2.0', id: response.id, error }
}

/** Of what a server says that speaks more versions, what can be said here. */
export function discoveredForm(
  response: JsonRpcResponse,
  { hasTasks }: { hasTasks: boolean },
): JsonRpcResponse {
  if (!('result' in response)) return response
  const capabilities = (response.result['capabilities'] ?? {}) as { extensions?: object }
  const extensions = { ...capabilities.extensions, ...(hasTasks && { [TASKS]: {} }) }
  const all = hasTasks ? { ...capabilities, extensions } : capabilities
  return { ...response, result: { ...response.result, capabilities: all, supportedVersions: [SESSIONLESS] } }
}

/** The answer to `server/discover`, from what a server object has answered to `initialize`. */
export function discovery(
  initialized: Record<string, unknown>,
  { hasTasks }: { hasTasks: boolean },
): Record<string, unknown> {
  const { capabilities, instructions } = initialized
  const { tasks: _, extensions, ...offered } = (capabilities ?? {}) as Record<string, unknown>
  const all = { ...(extensions as object | undefined), ...(hasTasks && { [TASKS]: {} }) }
  return {
    supportedVersions: [SESSIONLESS],
    capabilities: { ...offered, ...((extensions !== undefined || hasTasks) && { extensions: all }) },
    ...(instructions !== undefined && { instructions }),
  }
}
