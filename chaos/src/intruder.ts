import { setTimeout as sleep } from 'node:timers/promises'
import { AloneClient, envelope, headersFor, resumeHeaders, TAKES_TASKS } from './alone-client.js'
import { ObservedCall } from './observed-call.js'
import type { ObservedCalls } from './observed-call.js'
import { as, observedFetch } from './observed-fetch.js'
import type { Random } from './random.js'
import { hasEvents } from './tapped.js'

const REST_MS = [50, 250] as const
/** So many calls are worth stealing. */
const NEWEST = 50
/** `undefined`: nobody. */
const NAMES = ['eve', undefined] as const

type Intrusion = {
  url: URL
  calls: ObservedCalls
  random: Random
  prefix?: string
  /** Told when a call of its own has ended. */
  ended: (call: ObservedCall) => void
  signal: AbortSignal
}
type Stolen = {
  call: ObservedCall
  eventId: string
  state: string | undefined
  key: string | undefined
  taskId: string | undefined
}

/** Uses what belongs to others: the ids of their events, the states of their requests, their keys, their tasks. */
export async function intrude(intrusion: Intrusion): Promise<void> {
  const { calls, random, signal } = intrusion
  for (let number = 1; !signal.aborted; number++) {
    await sleep(random.between(...REST_MS), undefined, { signal }).catch(() => undefined)
    const name = random.pick(NAMES)
    const [attempt, isOfUse] = attempts[number % attempts.length]!
    const stolen = steal(calls, random, name, isOfUse)
    if (!stolen || signal.aborted) continue
    // What does not answer tells nothing.
    const got = await attempt(intrusion, stolen, name, number).catch(() => undefined)
    if (got !== undefined) calls.intrusions.push(`${name ?? 'nobody'} ${got} of ${stolen.call.id}`)
  }
}

function steal(
  calls: ObservedCalls,
  random: Random,
  name: string | undefined,
  isOfUse: (stolen: Stolen) => boolean,
): Stolen | undefined {
  const others = calls.all.slice(-NEWEST).filter(({ client }) => client.alone && client.principal !== name)
  const stolen = others.flatMap((call) => stolenFrom(call, random) ?? []).filter(isOfUse)
  return stolen.length === 0 ? undefined : random.pick(stolen)
}

function stolenFrom(call: ObservedCall, random: Random): Stolen | undefined {
  const events = call.connections.flatMap((connection) => connection.events)
  if (events.length === 0) return undefined
  const states = events.flatMap(({ data }) => /"requestState":"([^"]+)"/.exec(data)?.[1] ?? [])
  return {
    call,
    eventId: random.pick(events).id,
    state: states.at(-1),
    key: call.connections.find(({ key }) => key !== undefined)?.key,
    taskId: call.task?.taskId,
  }
}

const used = new Set<string>()

type Attempt = (
  intrusion: Intrusion,
  stolen: Stolen,
  name: string | undefined,
  number: number,
) => Promise<string | undefined>

const resume: Attempt = async ({ url }, { eventId }, name) => {
  const response = await as(name)(url, { headers: resumeHeaders(eventId) })
  await response.body?.cancel()
  return response.status === 404 || response.status >= 500
    ? undefined
    : `resumed (${response.status}) ${eventId}`
}

const answer: Attempt = async ({ url }, { call, state }, name) => {
  if (state === undefined) return undefined
  const inputResponses = Object.fromEntries(
    ['ask', 'question-1', 'question-2', 'question-3'].map((question) => [
      question,
      { action: 'accept', content: { answer: 'stolen' } },
    ]),
  )
  const params = {
    name: call.tool,
    arguments: call.args,
    requestState: state,
    inputResponses,
    _meta: envelope(),
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  const response = await as(name)(url, { method: 'POST', headers: headersFor('tools/call', call.tool), body })
  if (hasEvents(response)) {
    await response.body?.cancel()
    return `answered ${state}`
  }
  const text = await response.text()
  return response.status >= 500 || text.includes('invalid_request_state')
    ? undefined
    : `answered ${state}: ${text}`
}

/** The key of its owner means one request, and no other. */
const joinWithOther: Attempt = async ({ url }, { call, key }) => {
  if (key === undefined) return undefined
  const params = { name: call.tool, arguments: { ...call.args, id: `${call.id}-other` }, _meta: envelope() }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  const headers = { ...headersFor('tools/call', call.tool), 'idempotency-key': key }
  const response = await as(call.client.principal)(url, { method: 'POST', headers, body })
  await response.body?.cancel()
  return response.status === 422 || response.status >= 500
    ? undefined
    : `joined (${response.status}) with another request, by the key ${key}`
}

/** The same key of somebody else means another call. */
const useKey: Attempt = async ({ url, calls, ended, prefix = '' }, { key }, name, number) => {
  // A second time, it would be the key of this one's own call.
  if (key === undefined || used.has(`${name} ${key}`)) return undefined
  used.add(`${name} ${key}`)
  const id = `${prefix}x.${number}`
  const client = { official: false, alone: true, principal: name }
  const call = calls.add(new ObservedCall(id, 'ledger_charge', { id, delayMs: 0 }, client))
  const caller = new AloneClient({ fetch: observedFetch(calls, as(name)), url, answer: () => '' })
  await caller.call(call, { idempotencyKey: key })
  ended(call)
  return undefined
}

const ABOUT_TASKS = ['get', 'update', 'cancel'] as const
const INVALID_PARAMS = -32602

const askForTask: Attempt = async ({ url, random }, { taskId = '' }, name) => {
  const method = `tasks/${random.pick(ABOUT_TASKS)}`
  const params = { taskId, inputResponses: {}, _meta: envelope(TAKES_TASKS) }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const response = await as(name)(url, { method: 'POST', headers: headersFor(method, taskId), body })
  const { error } = (await response.json()) as { error?: { code: number } }
  return error?.code === INVALID_PARAMS || response.status >= 500
    ? undefined
    : `asked for the task ${taskId} (${method})`
}

const hasKey = ({ key }: Stolen) => key !== undefined

/** What may be tried, and whether it can be with what was stolen. */
const attempts: [Attempt, (stolen: Stolen) => boolean][] = [
  [resume, () => true],
  [answer, ({ state }) => state !== undefined],
  [useKey, hasKey],
  [joinWithOther, hasKey],
  [askForTask, ({ taskId }) => taskId !== undefined],
]
