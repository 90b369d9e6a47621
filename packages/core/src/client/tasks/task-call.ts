import type { JsonRpcRequest, RequestId } from '../../json-rpc.js'
import { isObject } from '../../json-rpc.js'
import { isAlone, META, metaOf, TASKS } from '../../protocol.js'

/** A `tools/call` that may become a task, and what is needed of it to ask for that. */
export type TaskCall = {
  id: RequestId
  url: string | URL
  /** With the headers of the client, as it sent them last. */
  init: RequestInit
  /** What the client says of itself. */
  meta: Record<string, unknown>
  token: unknown
  /** The last that the client was told, or more. Each progress must be above the one before. */
  progress: number
}

/** The request in a body, if it is one of a protocol version without sessions. */
export function requestIn({ method, body }: RequestInit): JsonRpcRequest | undefined {
  if (method?.toUpperCase() !== 'POST' || typeof body !== 'string') return undefined
  try {
    const message: unknown = JSON.parse(body)
    return isRequest(message) && isAlone(message) ? message : undefined
  } catch {
    return undefined
  }
}

const isRequest = (message: unknown): message is JsonRpcRequest =>
  isObject(message) &&
  (typeof message['id'] === 'string' || typeof message['id'] === 'number') &&
  typeof message['method'] === 'string' &&
  isObject(message['params']) &&
  isObject(message['params']['_meta'])

/** The same request of a client that can have tasks: each request says it anew. */
export function declaringTasks(request: JsonRpcRequest): JsonRpcRequest {
  const meta = metaOf(request)
  const capabilities = objectIn(meta, META.clientCapabilities)
  const extensions = { [TASKS]: {}, ...objectIn(capabilities, 'extensions') }
  const _meta = { ...meta, [META.clientCapabilities]: { ...capabilities, extensions } }
  return { ...request, params: { ...request.params, _meta } }
}

function objectIn(value: Record<string, unknown>, name: string): Record<string, unknown> {
  const member = value[name]
  return isObject(member) ? member : {}
}

/** What a request about the task says of itself: as the call, without what is the call's alone. */
export function callOf(url: string | URL, init: RequestInit, request: JsonRpcRequest): TaskCall {
  const { progressToken: token, [META.logLevel]: _level, ...meta } = metaOf(request)
  return { id: request.id, url, init, meta, token, progress: 0 }
}

/** How far a message says that its call is; 0 if it says nothing of that. */
export function progressOf(data: string): number {
  if (!data.includes('notifications/progress')) return 0
  try {
    const { params } = JSON.parse(data) as { params?: { progress?: unknown } }
    return typeof params?.progress === 'number' ? params.progress : 0
  } catch {
    return 0
  }
}
