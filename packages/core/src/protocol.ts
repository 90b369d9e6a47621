import type { JsonRpcMessage, JsonRpcRequest } from './json-rpc.js'

/** The versions with sessions, the newest first. */
export const PROTOCOL_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07']

/** Priming events have empty data, which older clients cannot read (2025-11-25, "Streamable HTTP: Sending Messages"). */
export const canPrime = (protocol: string) => protocol >= '2025-11-25'

/** JSON-RPC batches exist in this version only. */
export const allowsBatches = (protocol: string) => protocol === '2025-03-26'

/** Names the versions with sessions. */
export const IN_SESSIONS = '2025-11-25'

/** The version without sessions: each request says for itself who asks and what its client can do. */
export const SESSIONLESS = '2026-07-28'

/** What can be served: sessions, in whichever of their versions, and requests without them. */
export const ERAS = [IN_SESSIONS, SESSIONLESS] as const
export type Era = (typeof ERAS)[number]

/** The newest first. */
export const versionsOf = (eras: ReadonlySet<Era>): string[] => [
  ...(eras.has(SESSIONLESS) ? [SESSIONLESS] : []),
  ...(eras.has(IN_SESSIONS) ? PROTOCOL_VERSIONS : []),
]

export const isSessionless = (protocolVersion: string) => protocolVersion >= SESSIONLESS

/** Whether a header names a version without sessions, or one that may be. What is no date is none. */
export function namesSessionless(header: string | null): boolean {
  const version = header?.trim() ?? ''
  return isSessionless(version) && /^\d/.test(version)
}

/** What a request without a session says of itself, in `params._meta` (2026-07-28, "Base Protocol: `_meta`"). */
export const META = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
} as const

/** The extension by which a call of a tool may go on as a task (SEP-2663). */
export const TASKS = 'io.modelcontextprotocol/tasks'

export const metaOf = ({ params }: JsonRpcRequest): Record<string, unknown> => params?._meta ?? {}

/** Levels of log messages, the least first (specification, "Logging"). */
export const LOG_LEVELS = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Place of the least level that a client wants to hear of; one that has not said so hears all, or nothing without a session. */
export function leastLevel(request: JsonRpcRequest, ofSession: string | undefined): number {
  const meta = metaOf(request)
  const alone = isAlone(request)
  const place = LOG_LEVELS.findIndex((level) => level === (alone ? meta[META.logLevel] : ofSession))
  return place < 0 && alone ? LOG_LEVELS.length : place
}

/** Whether it is a log message that the client of a request without a session has not asked for. */
export function isUnwantedLog(message: JsonRpcMessage, request: JsonRpcRequest): boolean {
  if (!('method' in message) || message.method !== 'notifications/message') return false
  const place = LOG_LEVELS.findIndex((level) => level === message.params?.['level'])
  return place < leastLevel(request, undefined)
}

/** Whether a request says for itself what a session says otherwise. One of a session may name the version of that. */
export function isAlone(request: JsonRpcRequest): boolean {
  const { [META.protocolVersion]: version } = metaOf(request)
  return typeof version === 'string' && isSessionless(version)
}

/** The request as it is in a session: there are servers that refuse one which says for itself what their session says. */
export function inSession(request: JsonRpcRequest): JsonRpcRequest {
  if (!isAlone(request)) return request
  const ofEnvelope = new Set<string>(Object.values(META))
  const kept = Object.entries(metaOf(request)).filter(([key]) => !ofEnvelope.has(key))
  const { _meta, ...params } = request.params ?? {}
  return { ...request, params: { ...params, ...(kept.length > 0 && { _meta: Object.fromEntries(kept) }) } }
}

/** Whether the client of a request can be given a task in place of its result. */
export function takesTasks(request: JsonRpcRequest): boolean {
  const capabilities = metaOf(request)[META.clientCapabilities] as { extensions?: unknown } | undefined
  const { extensions } = capabilities ?? {}
  return typeof extensions === 'object' && extensions !== null && Object.hasOwn(extensions, TASKS)
}

/** The same request, of a client that takes none. */
export function withoutTasks(request: JsonRpcRequest): JsonRpcRequest {
  if (!takesTasks(request)) return request
  const meta = metaOf(request)
  const capabilities = meta[META.clientCapabilities] as { extensions: Record<string, unknown> }
  const { [TASKS]: _, ...extensions } = capabilities.extensions
  const _meta = { ...meta, [META.clientCapabilities]: { ...capabilities, extensions } }
  return { ...request, params: { ...request.params, _meta } }
}

/** The session of a call, if it belongs to one: else its scope is its own. */
export const sessionOf = (scope: string, [request]: readonly JsonRpcRequest[]): string | undefined =>
  request && isAlone(request) ? undefined : scope
