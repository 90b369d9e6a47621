import type { CallPlace } from '../session/place.js'
import { isList, shown } from '../known-options.js'
import { isParked } from '../store/takeover.js'
import type { CallEvent } from './call-event.js'
import { CallLog } from './call-log.js'
import type { InspectedCall, InspectedNode, Inspection } from './inspection.js'
import { CallTimeline } from './timeline.js'

/**
 * `orphaned`: it runs, and its node has no heartbeat. `waiting`: for an answer of its client. `sleeping`: in `ctx.sleep`. `queued`: for
 * its turn, since a quota is full. `diverged`: its journal does not fit the code, and it is parked. The others have ended: `completed` with a result, `failed` with an error of the tool or of JSON-RPC; `unknown`: it was interrupted,
 * and nobody knows what it has done.
 */
export const RUN_STATUSES = [
  'running',
  'waiting',
  'sleeping',
  'queued',
  'diverged',
  'orphaned',
  'completed',
  'failed',
  'unknown',
  'cancelled',
] as const
export type RunStatus = (typeof RUN_STATUSES)[number]

const ENDED: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'unknown', 'cancelled'])

/** A call at a glance. */
export type ListedCall = InspectedCall & {
  title: string
  /** Of the code that runs it, or has run it last; `undefined`: that has none. */
  version: string | undefined
  isTask: boolean
  status: RunStatus
  /** Ms since 1970, by the clock of the store. */
  openedAt: number
  endedAt: number | undefined
  /** Of one that sleeps. */
  wakesAt: number | undefined
  attempt: number
  last: CallEvent | undefined
}

/** Which calls are wanted; what is left out does not matter. Default: all that are open. */
export type WantedCalls = {
  principal?: string | undefined
  /** The name of the tool that is called. */
  tool?: string | undefined
  /** Any of these; those that have ended are looked at if one of them says so. */
  status?: readonly RunStatus[] | undefined
  /** Without a `status`: also those that have ended, as long as they are kept. */
  ended?: boolean | undefined
  /** Opened longer ago than this. */
  olderThanMs?: number | undefined
  /** Opened less long ago than this. */
  newerThanMs?: number | undefined
  /** Look at so many, and no more. Default: 20,000. */
  most?: number | undefined
  /** The lease that the nodes are set to. Default: 10,000. */
  leaseMs?: number | undefined
}

/** What is looked at, and by what. */
type Looking = Omit<WantedCalls, 'status'> & {
  status: ReadonlySet<RunStatus> | undefined
  ended: boolean
  alive: ReadonlySet<string>
  now: number
}
export type CallReader = Pick<Inspection, 'calls' | 'logs' | 'nodes'>

const MOST = 20_000

/** A node that beats. */
export const isAlive = ({ left, lateMs }: InspectedNode, leaseMs: number) => !left && lateMs < leaseMs

/**
 * Open calls first, the oldest first; then those that have ended, the last one first. `looked`: at how many. Those of a principal
 * are listed by the store; others are searched for, page by page.
 */
export async function listCalls(
  inspect: CallReader,
  wanted: WantedCalls = {},
): Promise<{ calls: ListedCall[]; looked: number }> {
  const { principal, most = MOST, leaseMs = 10_000 } = wanted
  if (wanted.status && !isList(wanted.status))
    throw new TypeError(`listCalls(): \`status\` must be a list: ['failed']. It is ${shown(wanted.status)}.`)
  const status = wanted.status && new Set(wanted.status)
  const ended = status ? [...ENDED].some((each) => status.has(each)) : wanted.ended === true
  const [nodes, now] = await Promise.all([inspect.nodes.list(), inspect.nodes.clock()])
  const alive = new Set(nodes.filter((node) => isAlive(node, leaseMs)).map(({ node }) => node))
  const looking = { ...wanted, status, ended, alive, now }
  const found = new Map<string, ListedCall>()
  const seen = new Set<string>()
  const pages = principal === undefined ? inspect.calls.all() : inspect.calls.ofPrincipal(principal)
  for await (const page of pages) {
    const places = page.filter(({ scope, callId }) => {
      const name = `${scope} ${callId}`
      return !seen.has(name) && seen.size < most && seen.add(name)
    })
    const rows = await Promise.all(places.map((place) => readCall(inspect, place, looking)))
    for (const row of rows) if (row) found.set(`${row.scope} ${row.callId}`, row)
    if (seen.size >= most) break
  }
  return { calls: [...found.values()].toSorted(byTime), looked: seen.size }
}

async function readCall(
  inspect: CallReader,
  place: CallPlace,
  looking: Looking,
): Promise<ListedCall | undefined> {
  const call = await inspect.calls.read(place)
  if (!call || (call.owner === undefined && !looking.ended)) return undefined
  if (!(await isCandidate(inspect, place, looking))) return undefined
  const log = new CallLog(inspect, place)
  const events = await log.read()
  const { timeline } = log
  if (timeline.attempts.length === 0) return undefined
  const status = runStatusOf(call, timeline, looking.alive)
  if (looking.status && !looking.status.has(status)) return undefined
  return {
    ...call,
    title: timeline.title,
    version: timeline.version,
    isTask: timeline.isTask,
    status,
    openedAt: timeline.openedAt,
    endedAt: timeline.endedAt,
    wakesAt: timeline.wakesAt,
    attempt: timeline.attempts.length,
    last: events.at(-1),
  }
}

/** What the first record says, so that not every journal is read to its end. */
async function isCandidate(
  { logs }: CallReader,
  { scope, callId }: CallPlace,
  { tool, olderThanMs, newerThanMs, now }: Looking,
): Promise<boolean> {
  if (tool === undefined && olderThanMs === undefined && newerThanMs === undefined) return true
  const [first] = await logs.read(scope, `call:${callId}`, undefined, 1)
  if (!first) return false
  const age = now - first.at
  if (age < (olderThanMs ?? 0) || age > (newerThanMs ?? Number.POSITIVE_INFINITY)) return false
  if (tool === undefined) return true
  const timeline = new CallTimeline(callId)
  timeline.add(first)
  return timeline.requests.some(({ title }) => title === `tools/call ${tool}`)
}

/** `owner`: as it stands in the store, beside the journal. `alive`: the nodes that beat. */
export function runStatusOf(
  { owner }: Pick<InspectedCall, 'owner'>,
  timeline: CallTimeline,
  alive: ReadonlySet<string>,
): RunStatus {
  if (timeline.status === 'cancelled') return 'cancelled'
  if (timeline.status === 'done') {
    if (timeline.outcome === 'unknown') return 'unknown'
    return timeline.outcome === 'result' ? 'completed' : 'failed'
  }
  // Whether it has ended, and how, its records don't tell without the key.
  if (owner === undefined && timeline.sealed !== undefined) return 'unknown'
  if (owner === undefined || (!isParked(owner) && !alive.has(owner))) return 'orphaned'
  if (timeline.divergence) return 'diverged'
  if (timeline.isQueued) return 'queued'
  if (timeline.pendingQuestions.length > 0) return 'waiting'
  if (timeline.wakesAt !== undefined) return 'sleeping'
  return isParked(owner) ? 'waiting' : 'running'
}

function byTime(a: ListedCall, b: ListedCall): number {
  if (a.endedAt === undefined && b.endedAt === undefined) return a.openedAt - b.openedAt
  return (b.endedAt ?? Number.POSITIVE_INFINITY) - (a.endedAt ?? Number.POSITIVE_INFINITY)
}
