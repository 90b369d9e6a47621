import { isDeepStrictEqual } from 'node:util'
import { digest } from '../../ids.js'
import { mayAsk } from '../../input-required.js'
import type { JsonRpcRequest } from '../../json-rpc.js'
import { isSessionless, takesTasks } from '../../protocol.js'
import { nameOf } from '../../session/place.js'
import type { CallPlace } from '../../session/place.js'
import type { Exchange, HttpServices } from '../exchange.js'
import { refuse } from '../replies.js'
import { aliasFor } from './alias.js'
import { readAsked } from './asked.js'
import type { AskedSoFar } from './asked.js'
import { showAgain } from './show-round.js'

/** A request that goes on with a call of an earlier one, as a call of its own. */
export type NextLeg = { request: JsonRpcRequest; scope: string; key: string }

/** Whether a request goes on with the call of an earlier one. */
export const isRetry = (request: JsonRpcRequest) =>
  mayAsk(request) && request.params?.['requestState'] !== undefined

/** The request again, with answers. The state that comes with it is a handle: all that it stands for is in the store. */
export async function answerRound(exchange: Exchange, request: JsonRpcRequest): Promise<Response | NextLeg> {
  const { services, principal } = exchange
  const state = services.requestStates.decode(request.params?.['requestState'], principal)
  if (!state) throw refuse.invalidState()
  const { place, after } = state
  const { scope } = place
  const session = await services.store.readSession(scope)
  if (!session || session.principal !== principal) throw refuse.invalidState()
  if (!isSessionless(session.protocolVersion)) throw refuse.invalidState()
  const asked = await readAsked(services.store, place)
  if (!asked.first || !isSame(asked.first, request)) throw refuse.invalidState()
  if (asked.inner) return nextLeg(request, place, asked.inner)
  const round = {
    place,
    after,
    id: request.id,
    alias: aliasFor(request, asked.first),
    requestId: asked.first.id,
    task: takesTasks(request) ? asked.task : undefined,
    rescued: true,
  }
  // As long as it is asked something it may be away: it is back before that is answered.
  const answer = () => takeAnswers(services, place, request.params?.['inputResponses'], asked)
  return showAgain(exchange, asked, round, answer)
}

/** Where the request is that comes with answers to what a server behind this one has asked by itself. */
export const nextScope = (place: CallPlace) => digest(`next ${nameOf(place)}`)

/**
 * To a server behind this one that asks by itself, each answer is a request of its own, with the server's own state in place of
 * the handle. Where it is follows from the one before: sent again, it joins itself, and the first answers count.
 */
export function nextLeg(request: JsonRpcRequest, place: CallPlace, { state }: { state?: unknown }): NextLeg {
  const { requestState: _, ...rest } = request.params ?? {}
  const params = { ...rest, ...(state !== undefined && { requestState: state }) }
  return { request: { ...request, params }, scope: nextScope(place), key: 'next' }
}

/** The first answer counts, whoever takes it. Then the call goes on, on this node if it is parked. */
export async function takeAnswers(
  { sessions, calls }: Pick<HttpServices, 'sessions' | 'calls'>,
  place: CallPlace,
  given: unknown,
  asked: AskedSoFar,
) {
  const answers = answersIn(given, asked)
  if (answers.length === 0) return calls.rescue(place.scope)
  await calls.leaveFor(place, 'waiting', async () => {
    for (const answer of answers) {
      if ((await sessions.clientMessages.answer(place.scope, answer)) === 'full') throw refuse.answersFull()
      asked.closed.add(String(answer.id))
    }
  })
}

/** Of what a client gives, answers to what is open. */
function answersIn(given: unknown, { end, isLate, questions, closed }: AskedSoFar) {
  if (end || isLate || typeof given !== 'object' || given === null) return []
  return Object.entries(given as Record<string, unknown>).flatMap(([key, result]) => {
    const id = questions.get(key)?.question.id
    if (id === undefined || closed.has(String(id))) return []
    if (typeof result !== 'object' || result === null || Array.isArray(result)) return []
    return [{ jsonrpc: '2.0', id, result: result as Record<string, unknown> } as const]
  })
}

/** `first`: as it was recorded, where `-0` is `0`. */
export function isSame(first: JsonRpcRequest, again: JsonRpcRequest) {
  return first.method === again.method && isDeepStrictEqual(asAsked(first), asRecorded(asAsked(again)))
}

const asRecorded = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

function asAsked({ params }: JsonRpcRequest) {
  const { _meta: _, inputResponses: __, requestState: ___, ...rest } = params ?? {}
  return rest
}
