import type { Call } from '../../call/call.js'
import type { Opened } from '../../call/calls.js'
import type { DeferredOutcome, EncodedResponse } from '../../call/deferred-call.js'
import type { CallRequest } from '../../call/new-call.js'
import { isSealed } from '../../errors.js'
import { sessionIdOf } from '../../ids.js'
import { isNotification, isRequest, isResponse } from '../../json-rpc.js'
import { httpAnswerOf } from '../../proxy/refusal.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../../json-rpc.js'
import { MAX_STATE_CHARS } from '../../session/state.js'
import { allowsBatches } from '../../protocol.js'
import type { Admission } from '../../store/store.js'
import { endOfTurn } from '../../turn.js'
import type { Body } from '../body.js'
import { callRequest, extraOf, idempotencyKeyOf } from '../call-request.js'
import { attach, streamCall } from '../call-stream.js'
import { sessionHeader } from '../event-stream.js'
import { acceptCaller } from '../guard-caller.js'
import { guardProtocolVersion, sessionOf } from '../guard.js'
import type { Exchange } from '../exchange.js'
import { json, jsonText, refusalFor, refuse } from '../replies.js'

const MOST_OPEN = 'this session has as many open calls as it may, or as many bytes in their requests'

/** Journaled before it runs; what it did may matter although its answer was never read. */
const JOURNALED = 'tools/call'

/** POST in the versions with sessions: one message of the client, or a batch. */
export async function postInSession(exchange: Exchange, { messages, batch }: Body): Promise<Response> {
  const { services } = exchange
  const requests = messages.filter(isRequest)
  const initialize = requests.find(({ method }) => method === 'initialize')
  if (initialize) return beginSession(exchange, initialize, messages.length)
  const sessionId = sessionOf(exchange)
  guardProtocolVersion(exchange)
  if (batch) await guardBatch(exchange, sessionId, requests)
  if (requests.length < messages.length) await takeOneWay(exchange, sessionId, messages)
  if (requests.length === 0) return new Response(null, { status: 202 })
  const journaled = requests.some(({ method }) => method === JOURNALED || services.recorded.has(method))
  return journaled
    ? runJournaled(exchange, sessionId, requests, batch)
    : runDeferred(exchange, sessionId, requests, batch)
}

async function beginSession(
  exchange: Exchange,
  initialize: JsonRpcRequest,
  messages: number,
): Promise<Response> {
  const { services, principal } = exchange
  if (messages > 1) throw refuse.invalidRequest('initialize must be sent alone')
  if (exchange.mcpSessionId !== null)
    throw refuse.invalidRequest('initialize begins a session; send it without Mcp-Session-Id')
  if (JSON.stringify(initialize).length > MAX_STATE_CHARS) throw refuse.tooLarge(MAX_STATE_CHARS)
  const outcome = await services.sessions.initialize(initialize, principal, extraOf(exchange))
  if (outcome.status === 'limit') throw refuse.tooMany('this principal has as many sessions as it may', false)
  if (outcome.status === 'refused')
    return answered({ message: outcome.response, json: JSON.stringify(outcome.response) })
  await acceptCaller(exchange, sessionIdOf(outcome.mcpSessionId))
  return json(outcome.response, 200, { 'mcp-session-id': outcome.mcpSessionId })
}

/** Notifications and answers: taken when the store has what must not be lost. */
async function takeOneWay(exchange: Exchange, sessionId: string, messages: readonly JsonRpcMessage[]) {
  const { sessions } = exchange.services
  await admit(exchange, sessionId)
  for (const message of messages) {
    if (isResponse(message)) {
      const taken = await sessions.clientMessages.answer(sessionId, message, extraOf(exchange))
      if (taken === 'full') throw refuse.answersFull()
    }
    if (!isNotification(message)) continue
    const taken = await sessions.clientMessages.notification(sessionId, message, extraOf(exchange))
    if (taken === 'unknown') throw refuse.sessionNotFound()
    if (taken === 'limit') throw refuse.tooMany('this session keeps as much state as it may', false)
  }
}

async function runJournaled(
  exchange: Exchange,
  sessionId: string,
  requests: readonly JsonRpcRequest[],
  batch: boolean,
): Promise<Response> {
  const { services, principal } = exchange
  const opening = services.sessions.own.actOn(
    { sessionId, principal, extra: extraOf(exchange) },
    async (server) => {
      const opened = await services.calls.open(requestIn(exchange, { sessionId, requests, batch, server }))
      return opened.status === 'unknown' ? undefined : opened
    },
  )
  prepareServer(exchange, sessionId)
  const outcome = await opening
  switch (outcome?.status) {
    case undefined:
      throw refuse.sessionNotFound()
    case 'limit':
      throw outcome.quota ? refuse.overQuota(outcome.quota) : refuse.tooMany(MOST_OPEN)
    case 'attached':
      return attach(exchange, sessionId, outcome.callId, outcome.admission)
    case 'opened':
      return runOpened(exchange, outcome)
  }
}

function requestIn(
  exchange: Exchange,
  of: { sessionId: string; requests: readonly JsonRpcRequest[]; batch: boolean; server: string | undefined },
): CallRequest {
  const { sessionId: scope, requests, batch, server } = of
  const idempotencyKey = idempotencyKeyOf(exchange.request)
  const handlers = exchange.services.sessions.runner.handlersOf(scope, requests)
  return callRequest(exchange, { scope, requests, batch, server, idempotencyKey, handlers })
}

/** The head of the answer goes out while the store has what a quick handler said first, and not before that is sent. */
async function runOpened(exchange: Exchange, { call, first, admission }: Opened): Promise<Response> {
  const response = streamCall(exchange, call, { after: first, caughtUp: true, isOwn: true }, admission)
  void runOrFail(exchange, call, admission)
  await endOfTurn()
  return response
}

/** The call is in its journal and its stream is open: whatever goes wrong from here on is the call's response. */
async function runOrFail(exchange: Exchange, call: Call, admission: Admission) {
  const { sessions, logger } = exchange.services
  const extra = extraOf(exchange)
  try {
    const { scope } = call
    const server =
      sessions.servers.ready(scope, admission) ??
      (await call.whileStoreFails(() => sessions.servers.get(scope, admission, extra)))
    sessions.runner.run(call, server, admission, { extra, principal: exchange.principal })
  } catch (error) {
    if (isSealed(error)) return call.handBack()
    const { message } = refusalFor(error, logger)
    await call.failUnrun(message).catch(() => undefined)
  }
}

async function runDeferred(
  exchange: Exchange,
  sessionId: string,
  requests: readonly JsonRpcRequest[],
  batch: boolean,
): Promise<Response> {
  const { sessions } = exchange.services
  const admitting = admit(exchange, sessionId)
  prepareServer(exchange, sessionId)
  const admission = await admitting
  const extra = extraOf(exchange)
  const server = await sessions.servers.get(sessionId, admission, extra)
  const deferred = sessions.runner.runDeferred(
    requestIn(exchange, { sessionId, requests, batch, server: sessions.own.serverOf(sessionId) }),
    server,
    extra,
  )
  const outcome = await deferred.outcome
  if (outcome.status !== 'answered') return goOn(exchange, sessionId, outcome)
  const [first, ...more] = outcome.responses
  const headers = sessionHeader(exchange)
  if (first && more.length === 0 && !batch) return answered(first, headers)
  return jsonText(`[${outcome.responses.map((response) => response.json).join(',')}]`, 200, headers)
}

/** While the store is asked whether the request may come in. What fails here fails again where it is waited for. */
function prepareServer(exchange: Exchange, sessionId: string) {
  const { services, principal } = exchange
  const { servers } = services.sessions
  if (servers.peek(sessionId)) return
  servers.prepare(sessionId, principal, extraOf(exchange)).catch(() => undefined)
}

/** A request that was run before it was journaled, and has more to it than its answers. */
async function goOn(
  exchange: Exchange,
  sessionId: string,
  outcome: Exclude<DeferredOutcome, { status: 'answered' }>,
): Promise<Response> {
  switch (outcome.status) {
    case 'journaled':
      return streamCall(
        exchange,
        outcome.call,
        { after: outcome.first, caughtUp: outcome.caughtUp },
        outcome.admission,
      )
    case 'attached':
      return attach(exchange, sessionId, outcome.callId, outcome.admission)
    case 'cancelled':
      return new Response('', {
        headers: { 'content-type': 'text/event-stream', ...sessionHeader(exchange) },
      })
    case 'abandoned':
      throw refuse.unavailable('the session left this node. Try again.')
    case 'unknown':
      throw refuse.sessionNotFound()
    case 'limit':
      throw refuse.tooMany(MOST_OPEN)
  }
}

/** Plain JSON; a server behind this one may have had more to say than that. */
function answered({ message, json: text }: EncodedResponse, headers: Record<string, string> = {}) {
  const http = httpAnswerOf(message)
  return jsonText(text, http?.status, { ...headers, ...http?.headers })
}

async function admit(exchange: Exchange, sessionId: string): Promise<Admission> {
  const { services, principal } = exchange
  const admission = await services.sessions.admit({ sessionId, principal, extra: extraOf(exchange) })
  if (!admission) throw refuse.sessionNotFound()
  return admission
}

async function guardBatch(exchange: Exchange, sessionId: string, requests: readonly JsonRpcRequest[]) {
  const { protocolVersion } = await admit(exchange, sessionId)
  if (!allowsBatches(protocolVersion))
    throw refuse.invalidRequest(
      `protocol version ${protocolVersion} has no batches; send one message at a time`,
    )
  const ids = new Set(requests.map(({ id }) => JSON.stringify(id)))
  if (ids.size < requests.length) throw refuse.invalidRequest('two requests of the batch have the same id')
}
