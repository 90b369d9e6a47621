import type { JsonRpcRequest, JsonRpcResponse, JsonRpcResult } from './json-rpc.js'

/** Requests whose results may ask for input, and that may come again with it (2026-07-28, "Multi Round-Trip Requests"). */
const ASKING = new Set(['tools/call', 'prompts/get', 'resources/read'])

export const mayAsk = ({ method }: JsonRpcRequest) => ASKING.has(method)

/** Whether a response ends its request by asking for input. */
export const asksForInput = (response: JsonRpcResponse): response is JsonRpcResult =>
  'result' in response && response.result['resultType'] === 'input_required'
