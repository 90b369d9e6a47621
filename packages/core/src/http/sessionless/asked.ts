import { decodeInboxItem } from '../../call/inbox.js'
import { parseRecord } from '../../call/record.js'
import type { JsonRpcRequest } from '../../json-rpc.js'
import { readPages, within } from '../../store/retry.js'
import { compareIds } from '../../store/store.js'
import type { EntryId, Store } from '../../store/store.js'
import type { CallPlace } from './place.js'
import { readQuestion } from './round.js'
import type { Asked } from './round.js'

const READ_WITHIN_MS = 10_000

type AskedAt = Asked & { at: EntryId }

/** What a journal and its inbox say of the questions of a call. */
export type AskedSoFar = {
  first: JsonRpcRequest | undefined
  /** By what the client answers them by. */
  questions: ReadonlyMap<string, AskedAt>
  /** Answered, or withdrawn. */
  closed: Set<string>
  ended: boolean
}

export async function readAsked(store: Store, { scope, callId }: CallPlace): Promise<AskedSoFar> {
  const questions = new Map<string, AskedAt>()
  const closed = new Set<string>()
  let first: JsonRpcRequest | undefined
  let ended = false
  const ending = within(READ_WITHIN_MS)
  for await (const page of readPages(store, scope, `call:${callId}`, ending)) {
    for (const { id, data } of page) {
      const record = parseRecord(data)
      if (record.kind === 'request') [first] = record.request.messages
      const asked = readQuestion(data)
      if (typeof asked === 'string') closed.add(asked)
      else if (asked) questions.set(asked.key, { ...asked, at: id })
      ended ||= record.kind === 'response' || record.kind === 'cancelled'
    }
  }
  if (!ended && questions.size > 0) {
    for await (const page of readPages(store, scope, `call:${callId}:in`, ending))
      for (const { data } of page) {
        const item = decodeInboxItem(data)
        if (item?.kind === 'answer') closed.add(item.question)
      }
  }
  return { first, questions, closed, ended }
}

/** Those up to an entry that wait for answers. */
export function openOf({ questions, closed, ended }: AskedSoFar, upTo: EntryId): Asked[] {
  if (ended) return []
  return [...questions.values()].filter(
    ({ question, at }) => !closed.has(String(question.id)) && compareIds(at, upTo) <= 0,
  )
}

/** Whether the call waits for its client. */
export const isAsking = ({ questions, closed, ended }: AskedSoFar) =>
  !ended && [...questions.values()].some(({ question }) => !closed.has(String(question.id)))
