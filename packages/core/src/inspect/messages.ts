import { isNotification, isRequest } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'

/** A message of a log that holds plain messages; `undefined` for what is none. */
export function decodeMessage(data: string): JsonRpcMessage | undefined {
  try {
    return asMessage(JSON.parse(data) as JsonRpcMessage)
  } catch {
    return undefined
  }
}

/** Throws for what can't be told of as a message. Whether it may be sent is no matter here. */
export function asMessage<T extends JsonRpcMessage>(value: T): T {
  const { method, result, error } = value as unknown as Record<string, unknown>
  const isOne = method === undefined ? isObject(result) || isObject(error) : typeof method === 'string'
  if (!isOne) throw new TypeError('This is no message.')
  return value
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null

/** Methods whose `name` names something that the server has registered: no data of anybody's. */
const NAMED = new Set(['tools/call', 'prompts/get'])

/** What a message is, without what it carries: its method, and the tool or prompt that it is for. */
export function titleOf(message: JsonRpcMessage): string {
  if (isRequest(message) || isNotification(message)) {
    const name = NAMED.has(message.method) ? message.params?.['name'] : undefined
    return typeof name === 'string' ? `${message.method} ${name}` : message.method
  }
  return 'result' in message ? 'result' : 'error'
}

/** What a message carries. */
export function payloadOf(message: JsonRpcMessage): unknown {
  if ('method' in message) return message.params
  return 'result' in message ? message.result : message.error
}
