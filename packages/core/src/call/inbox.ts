import type { JsonRpcMessage } from '../json-rpc.js'

/** What any node may leave for the owner of a call: an answer or progress from the client, or its cancellation. */
export type InboxItem =
  { kind: 'message'; message: JsonRpcMessage } | { kind: 'cancelled'; requestKey: string; reason: string }

/** First entry of an inbox; answers are only taken by an inbox that a question has opened. */
export const INBOX_OPENED = ''
export const MAX_INBOX = 10_000

export const encodeInboxItem = (item: InboxItem) => JSON.stringify(item)

export const decodeInboxItem = (data: string) =>
  data === INBOX_OPENED ? undefined : (JSON.parse(data) as InboxItem)
