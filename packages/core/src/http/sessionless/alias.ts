import type { JsonRpcMessage, JsonRpcRequest, RequestId } from '../../json-rpc.js'
import { metaOf } from '../../protocol.js'

/** Under which id and progress token a request hears of a call that an earlier one began. */
export type Alias = { id: RequestId; token?: unknown; was?: unknown }

export function aliasFor(request: JsonRpcRequest, first: JsonRpcRequest): Alias {
  return { id: request.id, token: metaOf(request)['progressToken'], was: metaOf(first)['progressToken'] }
}

/** For ids of events, so that any node knows it when the client comes back. Nothing is decided by it. */
export const encodeAlias = ({ id, token, was }: Alias) =>
  Buffer.from(JSON.stringify([id, token ?? null, was ?? null])).toString('base64url')

export function decodeAlias(text: string): Alias | undefined {
  try {
    const [id, token, was] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [
      unknown,
      unknown,
      unknown,
    ]
    if (typeof id !== 'string' && typeof id !== 'number') return undefined
    return { id, token, was }
  } catch {
    return undefined
  }
}

/** A message of the call, as its request would have it. */
export function underAlias(message: JsonRpcMessage, { id, token, was }: Alias): JsonRpcMessage {
  if (!('method' in message)) return { ...message, id }
  const { params } = message
  const isOwn = message.method === 'notifications/progress' && params?.['progressToken'] === was
  return isOwn && token !== null && token !== undefined
    ? { ...message, params: { ...params, progressToken: token } }
    : message
}
