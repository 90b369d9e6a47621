import type { TaskTerms } from '../../call/record.js'
import { isObject } from '../../json-rpc.js'
import type { JsonRpcRequest } from '../../json-rpc.js'
import { META, takesTasks, TASKS } from '../../protocol.js'
import type { CallPlace } from '../../session/place.js'
import type { Exchange, HttpServices } from '../exchange.js'
import { json, refuse } from '../replies.js'
import { parkedFor, readAsked } from './asked.js'
import { answersOf, detailedTask, findTask, inputRequestsOf, noteNext, NOTHING } from './find-task.js'
import type { Task } from './find-task.js'
import { nextLeg, nextScope, takeAnswers } from './retry.js'
import type { NextLeg } from './retry.js'

type GoOn = (leg: NextLeg & { task: TaskTerms }) => Promise<{ callId: string }>
type Method = (exchange: Exchange, task: Task, request: JsonRpcRequest, goOn: GoOn) => Promise<object>
type Cancelling = Pick<HttpServices, 'store' | 'sessions' | 'calls'>

const CANCELLED = 'The client has cancelled the task.'

/** What may be asked about a task, on whichever node: all there is to know of it is in its journal (SEP-2663). */
const METHODS = new Map<string, Method>([
  ['tasks/get', get],
  ['tasks/update', update],
  ['tasks/cancel', cancel],
])

export const isAboutTask = ({ method }: JsonRpcRequest) => METHODS.has(method)

/** `goOn`: sends the answers to a server behind this one that has asked by itself. */
export async function answerAboutTask(
  exchange: Exchange,
  request: JsonRpcRequest,
  goOn: GoOn,
): Promise<Response | undefined> {
  if (!takesTasks(request)) throw refuse.lacksExtension(TASKS)
  const task = await findTask(exchange, request.params?.['taskId'])
  if (!task) return undefined
  const told = await METHODS.get(request.method)!(exchange, task, request, goOn)
  const serverInfo = exchange.services.sessions.shared.serverInfoFor(exchange.principal)
  const _meta = serverInfo === undefined ? undefined : { [META.serverInfo]: serverInfo }
  const result = { resultType: 'complete', ...told, ...(_meta && { _meta }) }
  return json({ jsonrpc: '2.0', id: request.id, result })
}

async function get({ services }: Exchange, task: Task) {
  // Who asks for it waits for it: if its node is gone, this one goes on with it.
  if (!task.asked.end) services.calls.rescue(task.now.scope, parkedFor(task.asked))
  return detailedTask(task)
}

async function update(exchange: Exchange, found: Task, request: JsonRpcRequest, goOn: GoOn) {
  const { services } = exchange
  const { task, now, asked } = found
  const { first, inner } = asked
  if (found.isVoid) await cancelTask(services, found, CANCELLED)
  const inputResponses = request.params?.['inputResponses']
  if (!isObject(inputResponses)) throw refuse.invalidParams('`inputResponses` is missing, or not of its type')
  if (first && inner) {
    // The server behind this one is asked once more, and the first answers count: those to something else are none.
    const answers = answersOf(found, inputResponses)
    const asksNothing = Object.keys(inputRequestsOf(asked)).length === 0
    if (Object.keys(answers).length === 0 && !asksNothing) return {}
    const again = { ...first, params: { ...first.params, inputResponses: answers } }
    const leftMs = Math.max(1, task.begunAt + task.ttlMs - Date.now())
    const { callId } = await goOn({ ...nextLeg(again, now, inner), task: { afterMs: 0, ttlMs: leftMs } })
    const next = await noteNext(services.store, now, callId)
    // It was cancelled meanwhile, when there was nothing yet to cancel.
    if (next.callId === NOTHING)
      await cancelTask(services, await lookAt(services, { ...next, callId }), CANCELLED)
    return {}
  }
  await takeAnswers(services, now, inputResponses, asked)
  return {}
}

async function cancel({ services }: Exchange, task: Task) {
  await cancelTask(services, task, CANCELLED)
  return {}
}

/** One that has ended stays as it is. */
export async function cancelTask(
  services: Cancelling,
  { now, asked, isVoid }: Pick<Task, 'now' | 'asked' | 'isVoid'>,
  why: string,
): Promise<void> {
  if (isVoid) return cancelBegun(services, now, why)
  const { end, first, inner } = asked
  if (inner) {
    const next = await noteNext(services.store, now, NOTHING)
    // It may have been answered meanwhile.
    return next.callId === NOTHING ? undefined : cancelTask(services, await lookAt(services, next), why)
  }
  if (end || !first) return
  const { clientMessages } = services.sessions
  await services.calls.leaveFor(now, 'all', () => clientMessages.cancelCall(now, first.id, why))
}

const lookAt = async ({ store }: Cancelling, now: CallPlace) => ({
  now,
  asked: await readAsked(store, now),
  isVoid: false,
})

/** Whoever was about to go on with it may have begun, and not have come to find that there is nothing to go on with. */
async function cancelBegun(services: Cancelling, now: CallPlace, why: string) {
  const scope = nextScope(now)
  for (const { callId } of await services.store.listOpenCalls(scope))
    await cancelTask(services, await lookAt(services, { scope, callId }), why)
}
