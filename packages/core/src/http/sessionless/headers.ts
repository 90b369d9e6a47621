import type { JsonRpcRequest } from '../../json-rpc.js'
import type { MirroredParams } from '../../session/param-headers.js'
import { refuse } from '../replies.js'

/** What the header `Mcp-Name` repeats, by method. */
const NAMED: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

const ENCODED = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/

/** The headers repeat what the body says, for whoever routes by them (2026-07-28, "Streamable HTTP: Request Headers"). */
export function guardHeaders({ headers }: Request, { method, params }: JsonRpcRequest) {
  guardHeader(headers, 'Mcp-Method', method)
  const named = Object.hasOwn(NAMED, method) ? params?.[NAMED[method] ?? ''] : undefined
  if (typeof named === 'string') guardHeader(headers, 'Mcp-Name', named)
  // Some clients leave it out.
  const { taskId } = params ?? {}
  const isNamed = headers.has('Mcp-Name')
  if (isNamed && typeof taskId === 'string' && method.startsWith('tasks/'))
    guardHeader(headers, 'Mcp-Name', taskId)
}

/** Of the parameters of a tool, those that its schema says (2026-07-28, "Custom Headers from Tool Parameters"). */
export function guardParams({ headers }: Request, { params }: JsonRpcRequest, mirrored: MirroredParams) {
  const given = (params?.['arguments'] ?? {}) as Record<string, unknown>
  for (const { param, header } of mirrored) {
    const name = `Mcp-Param-${header}`
    const value = Object.hasOwn(given, param) ? given[param] : undefined
    if (value !== undefined && value !== null)
      guardHeader(headers, name, typeof value === 'string' ? value : JSON.stringify(value))
    else if (headers.has(name)) throw refuse.headerMismatch(`the header ${name} is not what the body says`)
  }
}

function guardHeader(headers: Headers, name: string, expected: string) {
  const value = headers.get(name)
  if (value === null) throw refuse.headerMismatch(`the header ${name} is missing`)
  if (decoded(value) !== expected) throw refuse.headerMismatch(`the header ${name} is not what the body says`)
}

/** What is no plain ASCII comes in base64. `undefined`: it is no base64 of UTF-8. */
export function decoded(header: string): string | undefined {
  const value = header.trim()
  if (!value.startsWith('=?') || !value.endsWith('?=')) return value
  const [, base64] = ENCODED.exec(value) ?? []
  if (base64 === undefined || base64.length % 4 !== 0) return undefined
  try {
    return utf8.decode(Buffer.from(base64, 'base64'))
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
