import { isNotification, isRequest } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'

/** A message of a log that holds plain messages; `undefined` for what is none. */
export function decodeMessage(data: string): JsonRpcMessage | undefined {
  try {
    return JSON.parse(data) as JsonRpcMessage
  } catch {
    return undefined
  }
}

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
