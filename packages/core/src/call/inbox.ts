import type { JsonRpcMessage, JsonRpcResponse } from '../json-rpc.js'

/** What any node may leave for the owner of a call: the client's answer to a question, or its cancellation. */
export type InboxItem =
  | { kind: 'answer'; question: string; json: string }
  | { kind: 'cancelled'; requestKey: string; reason: string }

/** Entries of one inbox. */
export const MAX_INBOX = 10_000

/** `answer <question> <json>` or `cancelled <json>`: an answer is as large as a client likes, and parsed when it is asked for. */
export const encodeInboxItem = (item: InboxItem) =>
  item.kind === 'answer'
    ? `answer ${item.question} ${item.json}`
    : `cancelled ${JSON.stringify({ requestKey: item.requestKey, reason: item.reason })}`

/** `undefined` for what no node of this version writes. */
export function decodeInboxItem(data: string): InboxItem | undefined {
  const [kind, rest] = cut(data)
  if (kind === 'answer') {
    const [question, json] = cut(rest)
    return { kind, question, json }
  }
  if (kind !== 'cancelled') return undefined
  const { requestKey, reason } = JSON.parse(rest) as { requestKey: string; reason: string }
  return { kind, requestKey, reason }
}

/** The topic on which the client's progress on a question reaches the one who asked. It is not kept: what comes late says nothing. */
export const progressTopic = (asker: string) => `progress:${asker}`

export const parseAnswer = (json: string) => JSON.parse(json) as JsonRpcResponse
export const parseProgress = (json: string) => JSON.parse(json) as JsonRpcMessage

function cut(text: string): [word: string, rest: string] {
  const space = text.indexOf(' ')
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)]
}
