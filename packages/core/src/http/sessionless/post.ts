import type { Call } from '../../call/call.js'
import type { CallRequest } from '../../call/calls.js'
import { digest, randomId } from '../../ids.js'
import { ErrorCode, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../../json-rpc.js'
import { discovery, sessionlessForm } from '../../session/envelope.js'
import type { SessionServer } from '../../session/session-server.js'
import { OLDEST } from '../../store/store.js'
import type { EntryId } from '../../store/store.js'
import { endOfTurn } from '../../turn.js'
import { callRequest, extraOf, idempotencyKeyOf } from '../call-request.js'
import type { Exchange } from '../exchange.js'
import { json, jsonText, refuse } from '../replies.js'
import { aliasFor } from './alias.js'
import { readAsked } from './asked.js'
import { guardHeaders, guardParams } from './headers.js'
import { listen } from './listen.js'
import { answerRound, isRetry, isSame } from './retry.js'
import { Round } from './round.js'
import { showRound } from './show-round.js'

/** What only versions with sessions have. */
const GONE = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
])

/** 128 bits and more, as base64 or as a UUID has them. */
const SECRET_CHARS = 22

const STATUS: Readonly<Record<number, number>> = {
  [ErrorCode.methodNotFound]: 404,
  [ErrorCode.missingCapability]: 400,
}

type Asked = {
  request: JsonRpcRequest
  scope: string
  principal: string | undefined
  /** What is asked again with the same key is the same call. */
  key?: string | undefined
}

/** POST in the version without sessions: one request, which says for itself who asks. */
export async function postAlone(exchange: Exchange, message: JsonRpcMessage): Promise<Response> {
  // Clients have none that mean something here.
  if (!isRequest(message)) return new Response(null, { status: 202 })
  guardHeaders(exchange.request, message)
  if (GONE.has(message.method)) throw refuse.methodNotFound(message.method)
  if (isRetry(message)) return answerRound(exchange, message)
  const asked = { request: message, scope: randomId(), principal: exchange.principal }
  if (message.method === 'server/discover') return discover(exchange, asked)
  if (message.method === 'subscriptions/listen') return subscribe(exchange, asked)
  const isJournaled = message.method === 'tools/call' || exchange.services.recorded.has(message.method)
  if (!isJournaled) return runDeferred(exchange, asked)
  return runJournaled(exchange, { ...asked, ...keyed(exchange, asked) })
}

/** Without the store: a client that gets no answer takes the server for one of an older version. */
async function discover(exchange: Exchange, asked: Asked): Promise<Response> {
  const { request } = asked
  const { initialized = {} } = await serverOf(exchange, asked)
  const response = { jsonrpc: '2.0', id: request.id, result: discovery(initialized) } as const
  return json(sessionlessForm(request, response, initialized['serverInfo']))
}

async function subscribe(exchange: Exchange, asked: Asked): Promise<Response> {
  const { initialized = {} } = await serverOf(exchange, asked)
  return listen(exchange, asked.request, initialized)
}

/** The server object first: what it has says what is recorded of the call, and where there is none nothing was done. */
async function runJournaled(exchange: Exchange, asked: Asked): Promise<Response> {
  const { services } = exchange
  const { sessions, calls } = services
  const server = sessions.shared.ready(asked) ?? (await serverOf(exchange, asked))
  await guardParamsOf(exchange, asked.request, server)
  const opening = calls.open(requestOf(exchange, asked, server)).then((outcome) => {
    if (outcome.status !== 'opened') return outcome
    const { call, first, admission } = outcome
    const response = streamFirst(exchange, asked, { callId: call.id, after: first, caughtUp: true })
    sessions.runner.run(call, server, admission, extraOf(exchange))
    return { status: 'runs', call, response } as const
  })
  // Until then the server object must not go to make room for another one.
  await server.isWanted(opening)
  const outcome = await opening
  if (outcome.status === 'attached') return joinCall(exchange, asked, outcome.callId)
  // Its scope has begun with another caller.
  if (outcome.status !== 'runs') throw refuse.callNotFound()
  const { call, response } = outcome
  await endOfTurn()
  const refusal = await refused(call)
  if (!refusal) return response
  services.streams.close(call.scope, `call:${call.id}`)
  return refusal
}

async function guardParamsOf(exchange: Exchange, request: JsonRpcRequest, server: SessionServer) {
  const tool = request.params?.['name']
  if (request.method !== 'tools/call' || typeof tool !== 'string') return
  const mirrored = server.mirroredParams(tool, extraOf(exchange))
  guardParams(exchange.request, request, mirrored instanceof Promise ? await mirrored : mirrored)
}

/** What a handler has refused at once is the status of the answer. */
async function refused({ answered }: Call): Promise<Response | undefined> {
  if (!answered || statusOf(answered.message) === 200) return undefined
  const isRecorded = await answered.recorded.then(
    () => true,
    () => false,
  )
  // Its stream tells what became of it.
  if (!isRecorded) return undefined
  return json(answered.message, statusOf(answered.message))
}

async function runDeferred(exchange: Exchange, asked: Asked): Promise<Response> {
  const { sessions } = exchange.services
  const server = await serverOf(exchange, asked)
  const request = requestOf(exchange, asked, server)
  const outcome = await sessions.runner.runDeferred(request, server, extraOf(exchange)).outcome
  switch (outcome.status) {
    case 'answered': {
      const [{ message, json: text } = { message: undefined, json: '' }] = outcome.responses
      return jsonText(text, message && statusOf(message))
    }
    case 'journaled': {
      const { call, first, caughtUp } = outcome
      return streamFirst(exchange, asked, { callId: call.id, after: first, caughtUp })
    }
    default:
      throw refuse.unavailable('the request could not be run to its end here. Send it again.')
  }
}

/** The scope of a call with an idempotency key follows from it, so that the same key finds the same call. */
function keyed({ request, principal }: Exchange, { scope }: Asked): Pick<Asked, 'scope' | 'key'> {
  const key = idempotencyKeyOf(request)
  if (key === undefined) return { scope }
  if (principal === undefined && key.length < SECRET_CHARS)
    throw refuse.badRequest(
      `without authorization, an Idempotency-Key is a secret: it must have ${SECRET_CHARS} characters or more`,
    )
  return { key, scope: digest(JSON.stringify([principal ?? null, key])) }
}

/** The same request again: it hears what the first one does, from the beginning. */
async function joinCall(exchange: Exchange, { request, scope }: Asked, callId: string): Promise<Response> {
  const { services, outgoing } = exchange
  const place = { scope, callId }
  const [begun] = (await services.store.read(scope, `call:${callId}`, OLDEST, 1)) ?? []
  const asked = await readAsked(services.store, place)
  if (!begun || !asked.first) throw refuse.unavailable('the call has just ended. Send it again.')
  if (!isSame(asked.first, request)) throw refuse.otherRequest()
  services.streams.guardLimit(scope)
  const round = new Round({
    place,
    after: begun.id,
    id: request.id,
    alias: aliasFor(request, asked.first),
    serverInfo: services.sessions.shared.serverInfo,
    closed: asked.closed,
  })
  return showRound(exchange, { place, after: begun.id, outgoing, requestId: asked.first.id }, round)
}

/** The stream of the request that began the call. */
function streamFirst(
  exchange: Exchange,
  { scope, request }: Asked,
  { callId, after, caughtUp }: { callId: string; after: EntryId; caughtUp: boolean },
): Response {
  const { serverInfo } = exchange.services.sessions.shared
  const place = { scope, callId }
  const round = new Round({ place, after, id: request.id, serverInfo })
  const { outgoing } = exchange
  return showRound(exchange, { place, after, caughtUp, outgoing, requestId: request.id }, round)
}

const statusOf = (response: JsonRpcResponse) =>
  'error' in response ? (STATUS[response.error.code] ?? 200) : 200

function serverOf(exchange: Exchange, asked: Asked): Promise<SessionServer> {
  return exchange.services.sessions.shared.get(asked, extraOf(exchange))
}

/** Of several servers on one store, the call belongs to the one whose name it has. */
function requestOf(exchange: Exchange, { scope, request, key }: Asked, server: SessionServer): CallRequest {
  const isCall = request.method === 'tools/call'
  return {
    ...callRequest(exchange, scope, [request], false),
    idempotencyKey: key,
    server: exchange.services.sessions.own.isByName ? server.name : undefined,
    handlers: [isCall ? server.handlerOf(request) : 'plain'],
  }
}
