import { isObject } from '../../json-rpc.js'
import { parsePlace } from '../../session/place.js'
import type { CallPlace } from '../../session/place.js'
import type { Store } from '../../store/store.js'
import type { HttpServices } from '../exchange.js'
import { isAsking, openOf } from './asked.js'
import type { AskedSoFar } from './asked.js'
import { describeTask } from '../../session/describe-task.js'
import type { TaskOf } from '../../session/describe-task.js'
import { nextScope } from './retry.js'
import { bare } from './round.js'

/**
 * `now`: where it goes on, if a server behind this one has asked by itself: each answer is a request of its own there, of which
 * this is number `round`, from 0. `isVoid`: it was cancelled while it waited there, and nothing is to go on with it.
 */
export type Task = {
  place: CallPlace
  task: TaskOf
  now: CallPlace
  round: number
  asked: AskedSoFar
  isVoid: boolean
}

const NEWEST = `${Number.MAX_SAFE_INTEGER}-0`

/** `undefined`: there is none, or it is another principal's; nobody can tell which. */
export async function findTask(
  {
    services,
    principal,
  }: { services: Pick<HttpServices, 'store' | 'askedViews'>; principal: string | undefined },
  taskId: unknown,
): Promise<Task | undefined> {
  const place = typeof taskId === 'string' ? parsePlace(taskId) : undefined
  const session = place && (await services.store.readSession(place.scope))
  if (!session || session.principal !== principal) return undefined
  const asked = await services.askedViews.look(place)
  if (!asked.first || !asked.task?.isTask) return undefined
  let last = { now: place, round: 0, asked, isVoid: false }
  while (last.asked.inner) {
    const now = await nextOf(services.store, last.now)
    if (!now) break
    if (now.callId === NOTHING) {
      last = { ...last, asked: { ...last.asked, inner: undefined, end: 'cancelled' }, isVoid: true }
      break
    }
    last = { now, round: last.round + 1, asked: await services.askedViews.look(now), isVoid: false }
  }
  return { place, task: { ...asked.task, changedAt: (last.asked.task ?? asked.task).changedAt }, ...last }
}

/** The value of a call's scope that says which one goes on with it, once its client has been told that its answers have come. */
const NEXT = 'next'
/** In place of its id: it was cancelled while it waited. */
export const NOTHING = ''

async function nextOf(store: Store, place: CallPlace): Promise<CallPlace | undefined> {
  const scope = nextScope(place)
  const noted = await store.readValue(place.scope, NEXT)
  if (noted) return { scope, callId: noted.data }
  const [open] = await store.listOpenCalls(scope)
  return open && { scope, callId: open.callId }
}

/** Notes it, so that it is found when it has ended. The first one counts, to which it resolves. */
export async function noteNext(store: Store, place: CallPlace, callId: string): Promise<CallPlace> {
  const written = await store.writeValue(place.scope, NEXT, 0, callId)
  const noted = written === 'conflict' ? await store.readValue(place.scope, NEXT) : undefined
  return { scope: nextScope(place), callId: noted?.data ?? callId }
}

/** No two questions in the life of a task have the same key; a server behind this one may use one each time that it asks. */
const keyIn = (round: number, key: string) => (round === 0 ? key : `${key}#${round}`)

/** Of what a client answers, what the server behind this one has asked last, by its own keys. */
export function answersOf({ round, asked }: Task, given: Record<string, unknown>): Record<string, unknown> {
  const keys = Object.keys(inputRequestsOf(asked)).filter((key) => Object.hasOwn(given, keyIn(round, key)))
  return Object.fromEntries(keys.map((key) => [key, given[keyIn(round, key)]]))
}

export const inputRequestsOf = ({ inner }: AskedSoFar) =>
  isObject(inner?.inputRequests) ? inner.inputRequests : {}

/** All that its client is told of it (SEP-2663, "DetailedTask"). */
export function detailedTask({ place, round, asked, task }: Task) {
  const { end, progress, inner } = asked
  if (inner) {
    const asks = Object.entries(inputRequestsOf(asked)).map(([key, one]) => [keyIn(round, key), one] as const)
    return { ...describeTask(place, task, 'input_required'), inputRequests: Object.fromEntries(asks) }
  }
  if (end === 'cancelled') return describeTask(place, task, 'cancelled')
  if (end && 'error' in end) return { ...describeTask(place, task, 'failed'), error: end.error }
  if (end) return { ...describeTask(place, task, 'completed'), result: end.result }
  const message = progress?.['message']
  const statusMessage = typeof message === 'string' ? { statusMessage: message } : undefined
  if (!isAsking(asked)) return { ...describeTask(place, task, 'working'), ...statusMessage }
  const open = openOf(asked, NEWEST).map(({ key, question }) => [key, bare(question)] as const)
  return {
    ...describeTask(place, task, 'input_required'),
    ...statusMessage,
    inputRequests: Object.fromEntries(open),
  }
}
