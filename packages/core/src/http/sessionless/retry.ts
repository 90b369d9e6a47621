import { isDeepStrictEqual } from 'node:util'
import { decodeInboxItem } from '../../call/inbox.js'
import { parseRecord } from '../../call/record.js'
import type { JsonRpcRequest } from '../../json-rpc.js'
import { readPages, within } from '../../store/retry.js'
import { compareIds } from '../../store/store.js'
import type { EntryId } from '../../store/store.js'
import { eventStreamResponse } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'
import { aliasFor } from './alias.js'
import { readQuestion, Round } from './round.js'
import type { Asked } from './round.js'

const STATE = /^([\w-]{22})\.(\d{1,16}-\d{1,16})$/
const READ_WITHIN_MS = 10_000

/** Results that may ask for input, and so their requests may come again (2026-07-28, "Multi Round-Trip Requests"). */
const ASKING = new Set(['tools/call', 'prompts/get', 'resources/read'])

/** Whether a request goes on with the call of an earlier one. */
export const isRetry = ({ method, params }: JsonRpcRequest) =>
  ASKING.has(method) && params?.['requestState'] !== undefined

/** The request again, with answers. The state that comes with it is a handle: all that it stands for is in the store. */
export async function answerRound(exchange: Exchange, request: JsonRpcRequest): Promise<Response> {
  const { services, principal, outgoing } = exchange
  const [, scope, after] = STATE.exec(String(request.params?.['requestState'])) ?? []
  if (scope === undefined || after === undefined) throw refuse.invalidState()
  const session = await services.store.readSession(scope)
  if (!session || session.principal !== principal) throw refuse.invalidState()
  const asked = await readAsked(exchange, scope)
  if (!asked.first || !isSame(asked.first, request)) throw refuse.invalidState()
  await takeAnswers(exchange, scope, request, asked)
  const log = `call:${scope}` as const
  services.streams.guardLimit(scope)
  const round = new Round({
    log,
    after,
    id: request.id,
    alias: aliasFor(request, asked.first),
    serverInfo: services.sessions.shared.serverInfo,
    open: openOf(asked, after),
    closed: asked.closed,
  })
  return showRound(exchange, { scope, log, after, outgoing }, round)
}

type Shown = {
  scope: string
  log: `call:${string}`
  after: EntryId
  outgoing: Exchange['outgoing']
  resumed?: boolean
  caughtUp?: boolean
}

/** The stream of one request. */
export function showRound(exchange: Exchange, shown: Shown, round: Round): Response {
  const { services } = exchange
  const stream = services.streams.open({
    ...shown,
    preamble: round.preamble(services.settings.retryMs),
    encode: round.encode,
    onClosed: () => round.end(),
  })
  round.shownOn(stream)
  if (!shown.caughtUp) services.calls.rescue(shown.scope)
  return eventStreamResponse(exchange, stream)
}

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

export async function readAsked({ services: { store } }: Exchange, scope: string): Promise<AskedSoFar> {
  const questions = new Map<string, AskedAt>()
  const closed = new Set<string>()
  let first: JsonRpcRequest | undefined
  let ended = false
  const ending = within(READ_WITHIN_MS)
  for await (const page of readPages(store, scope, `call:${scope}`, ending)) {
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
    for await (const page of readPages(store, scope, `call:${scope}:in`, ending))
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

/** The first answer counts, whoever takes it. */
async function takeAnswers(exchange: Exchange, scope: string, { params }: JsonRpcRequest, asked: AskedSoFar) {
  const answers = params?.['inputResponses']
  if (asked.ended || typeof answers !== 'object' || answers === null) return
  for (const [key, result] of Object.entries(answers as Record<string, unknown>)) {
    const id = asked.questions.get(key)?.question.id
    if (id === undefined || asked.closed.has(String(id))) continue
    if (typeof result !== 'object' || result === null || Array.isArray(result)) continue
    const answer = { jsonrpc: '2.0', id, result: result as Record<string, unknown> } as const
    if ((await exchange.services.sessions.clientMessages.answer(scope, answer)) === 'full')
      throw refuse.answersFull()
    asked.closed.add(String(id))
  }
}

function isSame(first: JsonRpcRequest, again: JsonRpcRequest) {
  return first.method === again.method && isDeepStrictEqual(asAsked(first), asAsked(again))
}

function asAsked({ params }: JsonRpcRequest) {
  const { _meta: _, inputResponses: __, requestState: ___, ...rest } = params ?? {}
  return rest
}
