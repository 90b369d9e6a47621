import type { JsonRpcRequest } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'

/** What the header `Mcp-Name` repeats, by method (2026-07-28, "Streamable HTTP: Request Headers"; tasks: the extension). */
const NAMED: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/** Headers that repeat what the body of a request says, as its client has sent them, or would have. */
export function repeatingHeaders(
  { method, params }: JsonRpcRequest,
  { mirrored }: MessageExtra,
): Record<string, string> {
  const named = Object.hasOwn(NAMED, method) ? params?.[NAMED[method] ?? ''] : undefined
  return {
    ...(method === 'tools/call' && mirrored),
    'mcp-method': encoded(method),
    ...(typeof named === 'string' && { 'mcp-name': encoded(named) }),
  }
}

/** What is no plain ASCII goes as base64 (2026-07-28, "Streamable HTTP: Value Encoding"), and so does what looks like that. */
const encoded = (value: string) =>
  /^[\x21-\x7e]+( +[\x21-\x7e]+)*$/.test(value) && !(value.startsWith('=?') && value.endsWith('?='))
    ? value
    : `=?base64?${Buffer.from(value).toString('base64')}?=`

const MIRRORED = 'mcp-param-'

/** Headers of a client's request that repeat parameters of a tool. */
export function mirroredOf({ headers }: Request): Record<string, string> | undefined {
  const mirrored = [...headers].filter(([name]) => name.startsWith(MIRRORED))
  return mirrored.length > 0 ? Object.fromEntries(mirrored) : undefined
}

/** Whether a header repeats what stands in the body that it came with, and in no other one. */
export const repeats = (name: string) =>
  name === 'mcp-method' || name === 'mcp-name' || name.startsWith(MIRRORED)
