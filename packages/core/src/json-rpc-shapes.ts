import { z } from 'zod'
import type { JsonRpcMessage } from './json-rpc.js'

/** JSON of this depth can still be written, validated and copied by recursive code. */
export const MAX_DEPTH = 500

const id = z.union([z.string(), z.int()])
const meta = z.looseObject({
  progressToken: z.union([z.string(), z.int()]).optional(),
  'io.modelcontextprotocol/related-task': z.looseObject({ taskId: z.string() }).optional(),
})
const params = z.looseObject({ _meta: meta.optional() })
const jsonrpc = z.literal('2.0')
/**
 * Shapes of JSON-RPC 2.0 in MCP: no `null` ids, no positional params (specification, "Base Protocol: Messages").
 * As strict as the SDK, which drops what it does not recognise: a request that it dropped would never be answered.
 */
const request = z.strictObject({ jsonrpc, id, method: z.string(), params: params.optional() })
const notification = z.strictObject({ jsonrpc, method: z.string(), params: params.optional() })
const result = z.strictObject({ jsonrpc, id, result: z.looseObject({}) })
const failure = z.strictObject({
  jsonrpc,
  id: id.nullish(),
  error: z.looseObject({ code: z.int(), message: z.string() }),
})

/** The shapes have no member in common that would make two of them fit. */
function shapeOf(candidate: object) {
  if ('method' in candidate) return 'id' in candidate ? request : notification
  return 'result' in candidate ? result : failure
}

/** Whether a value is a message. It itself goes on, not zod's copy: unknown members belong to whom it is for. */
export const isMessage = (candidate: unknown): candidate is JsonRpcMessage =>
  typeof candidate === 'object' && candidate !== null && shapeOf(candidate).safeParse(candidate).success

/** Whether JSON text nests deeper than that many levels, without making anything of it. */
export function nestsDeeper(limit: number, json: string): boolean {
  if (json.length <= 2 * limit) return false
  let depth = 0
  for (let at = 0; at < json.length; at++) {
    const char = json[at]
    if (char === '"') at = endOfString(json, at)
    else if (char === '}' || char === ']') depth--
    else if ((char === '{' || char === '[') && ++depth > limit) return true
  }
  return false
}

/** Where the string ends that begins there; a quote behind an odd number of backslashes is part of it. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end
  }
  return json.length
}
