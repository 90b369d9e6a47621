import type { Action } from './record.js'
import type { JsonRpcMessage, JsonRpcResponse } from '../json-rpc.js'

/** What any node, or whoever operates the server, may leave for the owner of a call, or with one that has ended. */
export type InboxItem =
  { kind: 'answer'; question: string; json: string } | Cancellation | Woken | Retried | Became

/**
 * `by`: a person or program that operates the server; else the client. `ofRequest`: what is cancelled is the request, and not
 * the task that it has become.
 */
export type Cancellation = {
  kind: 'cancelled'
  requestKey: string
  reason: string
  by?: string
  ofRequest?: true
}

/** Sleeps, by the ids of their steps, that are over before their time. */
export type Woken = { kind: 'woken'; steps: readonly string[]; by: string }

/** A call that fits the code of no node is to be tried again. */
export type Retried = { kind: 'retried'; by: string }

/** Of a call that has ended: another one has been made of it. */
export type Became = { kind: 'became'; scope: string; callId: string; action: Action; by: string }

/** Entries of one inbox. */
export const MAX_INBOX = 10_000

/** `answer <question> <json>`, else `<kind> <json>`: an answer is as large as a client likes, and parsed when it is asked for. */
export function encodeInboxItem(item: InboxItem): string {
  if (item.kind === 'answer') return `answer ${item.question} ${item.json}`
  const { kind, ...body } = item
  return `${kind} ${JSON.stringify(body)}`
}

const KINDS: ReadonlySet<string> = new Set(['cancelled', 'woken', 'retried', 'became'])

/** `undefined` for what no node of this version writes. */
export function decodeInboxItem(data: string): InboxItem | undefined {
  const [kind, rest] = cut(data)
  if (kind === 'answer') {
    const [question, json] = cut(rest)
    return { kind, question, json }
  }
  if (!KINDS.has(kind)) return undefined
  return { kind, ...(JSON.parse(rest) as object) } as InboxItem
}

/** The topic on which the client's progress on a question reaches the one who asked. It is not kept: what comes late says nothing. */
export const progressTopic = (asker: string) => `progress:${asker}`

export const parseAnswer = (json: string) => JSON.parse(json) as JsonRpcResponse
export const parseProgress = (json: string) => JSON.parse(json) as JsonRpcMessage

function cut(text: string): [word: string, rest: string] {
  const space = text.indexOf(' ')
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)]
}
