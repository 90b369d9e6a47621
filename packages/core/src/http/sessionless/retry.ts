import { isDeepStrictEqual } from 'node:util'
import type { JsonRpcRequest } from '../../json-rpc.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'
import { aliasFor } from './alias.js'
import { openOf, readAsked } from './asked.js'
import type { AskedSoFar } from './asked.js'
import { parsePlace } from './place.js'
import { Round } from './round.js'
import { showRound } from './show-round.js'

const STATE = /^([\w:-]{22,45})\.(\d{1,16}-\d{1,16})$/

/** Results that may ask for input, and so their requests may come again (2026-07-28, "Multi Round-Trip Requests"). */
const ASKING = new Set(['tools/call', 'prompts/get', 'resources/read'])

/** Whether a request goes on with the call of an earlier one. */
export const isRetry = ({ method, params }: JsonRpcRequest) =>
  ASKING.has(method) && params?.['requestState'] !== undefined

/** The request again, with answers. The state that comes with it is a handle: all that it stands for is in the store. */
export async function answerRound(exchange: Exchange, request: JsonRpcRequest): Promise<Response> {
  const { services, principal, outgoing } = exchange
  const [, name = '', after] = STATE.exec(String(request.params?.['requestState'])) ?? []
  const place = parsePlace(name)
  if (!place || after === undefined) throw refuse.invalidState()
  const { scope } = place
  const session = await services.store.readSession(scope)
  if (!session || session.principal !== principal) throw refuse.invalidState()
  const asked = await readAsked(services.store, place)
  if (!asked.first || !isSame(asked.first, request)) throw refuse.invalidState()
  await takeAnswers(exchange, scope, request, asked)
  services.streams.guardLimit(scope)
  const round = new Round({
    place,
    after,
    id: request.id,
    alias: aliasFor(request, asked.first),
    serverInfo: services.sessions.shared.serverInfo,
    open: openOf(asked, after),
    closed: asked.closed,
  })
  return showRound(exchange, { place, after, outgoing, requestId: asked.first.id }, round)
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

export function isSame(first: JsonRpcRequest, again: JsonRpcRequest) {
  return first.method === again.method && isDeepStrictEqual(asAsked(first), asAsked(again))
}

function asAsked({ params }: JsonRpcRequest) {
  const { _meta: _, inputResponses: __, requestState: ___, ...rest } = params ?? {}
  return rest
}
