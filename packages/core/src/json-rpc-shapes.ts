import { z } from 'zod'
import type { JsonRpcMessage } from './json-rpc.js'

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
