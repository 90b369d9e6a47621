import type { Call } from '../../call/call.js'
import type { CallRequest } from '../../call/new-call.js'
import type { TaskTerms } from '../../call/record.js'
import type { EncodedResponse } from '../../call/deferred-call.js'
import { digest, randomId } from '../../ids.js'
import { ErrorCode, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../../json-rpc.js'
import { takesTasks, withoutTasks } from '../../protocol.js'
import { httpAnswerOf } from '../../proxy/refusal.js'
import { discoveredForm, discovery, sessionlessForm } from '../../session/envelope.js'
import type { SessionServer } from '../../session/session-server.js'
import { hasAnyTask, taskModeFor } from '../../session/task-mode.js'
import type { AskedAlone } from '../../session/shared-servers.js'
import type { MessageExtra } from '../../session/transport.js'
import { OLDEST, splitId } from '../../store/store.js'
import type { EntryId } from '../../store/store.js'
import { endOfTurn } from '../../turn.js'
import { callRequest, extraOf, idempotencyKeyOf } from '../call-request.js'
import type { Exchange } from '../exchange.js'
import { settlePrincipal } from '../guard-caller.js'
import { json, jsonText, refuse } from '../replies.js'
import { aliasFor } from './alias.js'
import { readAsked } from './asked.js'
import { guardHeaders, guardParams } from './headers.js'
import { listen } from './listen.js'
import { answerRound, isRetry, isSame } from './retry.js'
import type { NextLeg } from './retry.js'
import { showAgain, showRound } from './show-round.js'
import { answerAboutTask, isAboutTask } from './tasks.js'

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
  [ErrorCode.headerMismatch]: 400,
  [ErrorCode.missingCapability]: 400,
  [ErrorCode.unsupportedVersion]: 400,
}

const MOST_OPEN = 'this principal has as many open calls as it may'

/** So long the head of an answer waits for that of the server behind this one; then its stream begins. */
const HEAD_WITHIN_MS = 250

type Asked = AskedAlone & {
  /** What goes on as a task. */
  task?: TaskTerms
  /** What is asked again with the same key is the same call. */
  key?: string | undefined
}

/** POST in the version without sessions: one request, which says for itself who asks. */
export async function postAlone(exchange: Exchange, message: JsonRpcMessage): Promise<Response> {
  // Clients have none that mean something here.
  if (!isRequest(message)) return new Response(null, { status: 202 })
  guardHeaders(exchange.request, message)
  if (GONE.has(message.method)) throw refuse.methodNotFound(message.method)
  // Whoever it is: the server that is asked says what it tells whom.
  if (message.method === 'server/discover')
    return discover(exchange, { request: message, scope: randomId(), principal: exchange.principal })
  await settlePrincipal(exchange)
  const { principal } = exchange
  if (isAboutTask(message)) return aboutTask(exchange, message)
  if (isRetry(message)) {
    const next = await answerRound(exchange, message)
    return next instanceof Response ? next : runJournaled(exchange, { ...next, principal })
  }
  const asked = { request: withoutHint(message), scope: randomId(), principal }
  if (message.method === 'subscriptions/listen') return listen(exchange, asked)
  const isJournaled = message.method === 'tools/call' || exchange.services.recorded.has(message.method)
  if (!isJournaled) return runDeferred(exchange, asked)
  return runJournaled(exchange, keyed(exchange, asked))
}

/** A server behind this one may have tasks of its own. */
async function aboutTask(exchange: Exchange, request: JsonRpcRequest): Promise<Response> {
  const { principal, services } = exchange
  const goOn = async (leg: NextLeg & { task: TaskTerms }) => {
    const begun = await begin(exchange, { ...leg, principal })
    if (begun.status === 'attached') return begun
    await begun.response.body?.cancel()
    return begun.status === 'runs' ? { callId: begun.call.id } : begun
  }
  const own = await answerAboutTask(exchange, request, goOn)
  if (own) return own
  const asked = { request, scope: randomId(), principal }
  const server = services.isProxy ? await serverOf(exchange, asked) : undefined
  if (server?.sessionless) return runDeferred(exchange, asked)
  if (server) void services.sessions.shared.letGo(asked)
  throw refuse.taskNotFound()
}

/** Without the store: a client that gets no answer takes the server for one of an older version. */
async function discover(exchange: Exchange, asked: Asked): Promise<Response> {
  const { request } = asked
  const server = await serverOf(exchange, asked)
  const { initialized = {} } = server
  if (!server.sessionless) {
    void exchange.services.sessions.shared.letGo(asked)
    const hasTasks = server.hasTasks || hasAnyTask(exchange.services.tasks)
    const response = { jsonrpc: '2.0', id: request.id, result: discovery(initialized, { hasTasks }) } as const
    return json(sessionlessForm(request, response, initialized['serverInfo']))
  }
  const hasTasks = hasAnyTask(exchange.services.tasks)
  const response = discoveredForm(await server.ask(request, extraOf(exchange)), { hasTasks })
  return jsonAnswer({ message: response, json: JSON.stringify(response) })
}

async function runJournaled(exchange: Exchange, asked: Asked): Promise<Response> {
  const begun = await begin(exchange, asked)
  if (begun.status === 'attached') return joinCall(exchange, asked, begun.callId)
  if (begun.status === 'left' || begun.status === 'queued') return begun.response
  const { call, response, head } = begun
  if (begun.isTask) return response
  await (head ? head.came : endOfTurn())
  const refusal = await refused(call)
  if (!refusal) return response
  exchange.services.streams.close(call.scope, `call:${call.id}`)
  return refusal
}

/** The server object first: what it has says what is recorded of the call, and where there is none nothing was done. */
async function begin(exchange: Exchange, asked: Asked) {
  const { services } = exchange
  const { sessions, calls } = services
  const server = sessions.shared.ready(asked) ?? (await serverOf(exchange, asked))
  const release = () => void sessions.shared.letGo(asked)
  await guardParamsOf(exchange, asked.request, server).catch((error: unknown) => {
    release()
    throw error
  })
  const request = requestOf(exchange, asked, server)
  const opening = calls.openOrQueue(request).then(async (outcome) => {
    if (outcome.status === 'queued') {
      const { callId, first } = outcome
      const terms = request.task && { ...request.task, afterMs: 0 }
      const from = { callId, after: first, caughtUp: true, terms, isQueued: true }
      return { ...outcome, response: streamFirst(exchange, asked, from) }
    }
    if (outcome.status !== 'opened') return outcome
    const { call, first, admission } = outcome
    const { task: terms } = request
    // A task may be left to another node.
    const from = { callId: call.id, after: first, caughtUp: true, isOwn: !terms, terms }
    const response = streamFirst(exchange, asked, from)
    if (terms && (await calls.leave(call, first)))
      return { status: 'left', response, callId: call.id } as const
    const head = services.isProxy ? headWithin(HEAD_WITHIN_MS) : undefined
    sessions.runner.run(call, server, admission, {
      extra: extraOf(exchange, head?.onHead),
      principal: exchange.principal,
    })
    return { status: 'runs', call, response, head, isTask: terms?.afterMs === 0 } as const
  })
  // Until then the server object must not go to make room for another one.
  const outcome = await server.isWanted(opening).finally(release)
  if (outcome.status === 'attached' || outcome.status === 'left' || outcome.status === 'queued')
    return outcome
  if (outcome.status === 'limit')
    throw outcome.quota ? refuse.overQuota(outcome.quota) : refuse.tooMany(MOST_OPEN)
  // Its scope has begun with another caller.
  if (outcome.status !== 'runs') throw refuse.callNotFound()
  return outcome
}

/** By which earlier versions asked for a task: whether there is one the server decides (SEP-2663). */
function withoutHint(request: JsonRpcRequest): JsonRpcRequest {
  if (request.method !== 'tools/call' || request.params?.['task'] === undefined) return request
  const { task: _, ...params } = request.params
  return { ...request, params }
}

async function guardParamsOf(exchange: Exchange, request: JsonRpcRequest, server: SessionServer) {
  const tool = request.params?.['name']
  if (request.method !== 'tools/call' || typeof tool !== 'string') return
  const mirrored = server.mirroredParams(tool, extraOf(exchange))
  guardParams(exchange.request, request, mirrored instanceof Promise ? await mirrored : mirrored)
}

/** What a handler has refused at once is the status of the answer. */
async function refused({ answered }: Call): Promise<Response | undefined> {
  if (!answered || httpOf(answered.message).status === 200) return undefined
  const isRecorded = await answered.recorded.then(
    () => true,
    () => false,
  )
  // Its stream tells what became of it.
  if (!isRecorded) return undefined
  const { status, headers } = httpOf(answered.message)
  return json(answered.message, status, headers)
}

/** A server behind this one shows soon, mostly, whether it refuses a request. */
function headWithin(ms: number): Required<Pick<MessageExtra, 'onHead'>> & { came: Promise<unknown> } {
  let onHead: () => void = () => undefined
  const came = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    onHead = () => {
      clearTimeout(timer)
      resolve()
    }
  })
  return { onHead, came }
}

async function runDeferred(exchange: Exchange, asked: Asked): Promise<Response> {
  const { sessions } = exchange.services
  const server = await serverOf(exchange, asked)
  const request = requestOf(exchange, asked, server)
  const outcome = await sessions.runner.runDeferred(request, server, extraOf(exchange)).outcome
  switch (outcome.status) {
    case 'answered': {
      const [response] = outcome.responses
      return response ? jsonAnswer(response) : jsonText('')
    }
    case 'journaled': {
      const { call, first, caughtUp } = outcome
      return streamFirst(exchange, asked, { callId: call.id, after: first, caughtUp })
    }
    case 'limit':
      throw refuse.tooMany(MOST_OPEN)
    default:
      throw refuse.unavailable('the request could not be run to its end here. Send it again.')
  }
}

/** The scope of a call with an idempotency key follows from it, so that the same key finds the same call. */
function keyed({ request, principal }: Exchange, asked: Asked): Asked {
  const key = idempotencyKeyOf(request)
  if (key === undefined) return asked
  if (principal === undefined && key.length < SECRET_CHARS)
    throw refuse.badRequest(
      `without authorization, an Idempotency-Key is a secret: it must have ${SECRET_CHARS} characters or more`,
    )
  return { ...asked, key, scope: digest(JSON.stringify([principal ?? null, key])) }
}

/** The same request again: it hears what the first one does, from the beginning. */
async function joinCall(exchange: Exchange, { request, scope }: Asked, callId: string): Promise<Response> {
  const { services } = exchange
  const place = { scope, callId }
  const [begun] = (await services.store.read(scope, `call:${callId}`, OLDEST, 1)) ?? []
  const asked = await readAsked(services.store, place)
  if (!begun || !asked.first) throw refuse.unavailable('the call has just ended. Send it again.')
  if (!isSame(asked.first, request)) throw refuse.otherRequest()
  return showAgain(exchange, asked, {
    place,
    after: begun.id,
    id: request.id,
    alias: aliasFor(request, asked.first),
    requestId: asked.first.id,
    task: takesTasks(request) ? asked.task : undefined,
  })
}

type First = {
  callId: string
  after: EntryId
  caughtUp: boolean
  isOwn?: boolean
  terms?: TaskTerms | undefined
  isQueued?: boolean
}

/** The stream of the request that began the call. */
function streamFirst(
  exchange: Exchange,
  { scope, request }: Asked,
  { callId, after, caughtUp, isOwn = false, terms, isQueued = false }: First,
): Response {
  const place = { scope, callId }
  const [begunAt] = splitId(after)
  const task = terms && {
    ttlMs: terms.ttlMs,
    begunAt,
    changedAt: begunAt,
    isTask: terms.afterMs === 0,
    isQueued,
  }
  return showRound(exchange, { place, after, caughtUp, isOwn, id: request.id, requestId: request.id, task })
}

/** What a server behind this one has refused keeps its status, unless the specification has one for the error. */
function httpOf(response: JsonRpcResponse): { status: number; headers: Record<string, string> } {
  const { status = 200, headers = {} } = httpAnswerOf(response) ?? {}
  return { status: ('error' in response ? STATUS[response.error.code] : undefined) ?? status, headers }
}

function jsonAnswer({ message, json: text }: EncodedResponse): Response {
  const { status, headers } = httpOf(message)
  return jsonText(text, status, headers)
}

function serverOf(exchange: Exchange, asked: Asked): Promise<SessionServer> {
  return exchange.services.sessions.shared.get(asked, extraOf(exchange))
}

/** Of several servers on one store, the call belongs to the one whose name it has. */
function requestOf(exchange: Exchange, asked: Asked, server: SessionServer): CallRequest {
  const { scope, request, key } = asked
  const { tasks, settings } = exchange.services
  const isCall = request.method === 'tools/call'
  const task = asked.task ?? (isCall && takesTasks(request) ? termsOf(exchange, request, server) : undefined)
  // A server behind this one has tasks of its own or none at all.
  const told = task && exchange.services.isProxy ? withoutTasks(request) : request
  return callRequest(exchange, {
    scope,
    requests: [told],
    idempotencyKey: key,
    server: exchange.services.sessions.own.isByName ? server.name : undefined,
    handlers: [server.handlerOf(request)],
    task,
    // A client that knows no tasks may be given one by tools.
    keptMs: !task && server.plainTaskOf(request, tasks) ? settings.taskTtlMs : undefined,
  })
}

/** `undefined`: its calls are no tasks. */
function termsOf(
  { services }: Exchange,
  request: JsonRpcRequest,
  server: SessionServer,
): TaskTerms | undefined {
  const { settings, tasks } = services
  const name = String(request.params?.['name'])
  const mode = taskModeFor(name, server.taskModeOf(request), tasks)
  if (mode === 'never') return undefined
  return { afterMs: mode === 'always' ? 0 : settings.taskAfterMs, ttlMs: settings.taskTtlMs }
}
