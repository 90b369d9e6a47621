/** JSON-RPC 2.0 messages as MCP uses them (specification, "Base Protocol: Messages"). Shapes only; no method is known here. */
export type RequestId = string | number
export type Params = { _meta?: Record<string, unknown>; [key: string]: unknown }
export type JsonRpcRequest = { jsonrpc: '2.0'; id: RequestId; method: string; params?: Params }
export type JsonRpcNotification = { jsonrpc: '2.0'; method: string; params?: Params }
export type JsonRpcResult = { jsonrpc: '2.0'; id: RequestId; result: Record<string, unknown> }
export type JsonRpcErrorObject = { code: number; message: string; data?: unknown }
export type JsonRpcError = { jsonrpc: '2.0'; id?: RequestId | null; error: JsonRpcErrorObject }
export type JsonRpcResponse = JsonRpcResult | JsonRpcError
export type JsonRpcMessage = JsonRpcRequest | JsonRpcNotification | JsonRpcResponse

export const isRequest = (message: JsonRpcMessage): message is JsonRpcRequest =>
  'method' in message && 'id' in message
export const isNotification = (message: JsonRpcMessage): message is JsonRpcNotification =>
  'method' in message && !('id' in message)
export const isResponse = (message: JsonRpcMessage): message is JsonRpcResponse => !('method' in message)

export const ErrorCode = {
  parseError: -32700,
  invalidRequest: -32600,
  internalError: -32603,
  /** What the SDK answers for refusals of the transport that the specification gives no number. */
  refused: -32000,
  sessionNotFound: -32001,
} as const

export function errorResponse(id: RequestId | null, code: number, message: string): JsonRpcError {
  return { jsonrpc: '2.0', id, error: { code, message } }
}
