import type { Waiting } from '../context/call-log.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'

/** What runs the requests of a call: an SDK server object, one layer up. */
export interface CallServer {
  /**
   * Aborts the handler of one dispatched request; it answers nothing any more. `moved`: the call goes on elsewhere, so
   * a server that outlives this node must not hear of it.
   */
  cancel(dispatchId: string, reason: string, moved?: boolean): void
  /** A client's answer to a question of this call, or its progress on one. */
  receive(message: JsonRpcMessage): void
  /** What the handler of a dispatched request waits for, if it does nothing else, by steps that come again in any run. */
  waiting(dispatchId: string): Waiting | undefined
}

/** The id under which the server knows a request: unique on the server whatever ids clients choose, and the same after a takeover. */
export function dispatchId(callId: string, requests: readonly JsonRpcRequest[], index: number) {
  return requests.length === 1 ? callId : `${callId}.${index}`
}
