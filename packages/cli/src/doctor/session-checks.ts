import { isAlive, listCalls } from '@mcp-durable/core/inspect'
import type { CallPlace, InspectedNode, Inspection } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import type { Privacy } from '../show/privacy.js'
import { count } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Finding } from './finding.js'

const PAGE = 200
const LISTED = 5

type OwnedCall = CallPlace & { owner: string; hasJournal: boolean }

/** Calls that are parked since they fit the code of no node, among so many. */
export async function checkDiverged(
  inspect: Inspection,
  { leaseMs, privacy, most }: { leaseMs: number; privacy: Privacy; most: number },
): Promise<Finding[]> {
  const { calls } = await listCalls(inspect, { status: ['diverged'], most, leaseMs })
  if (calls.length === 0) return []
  const ids = calls.slice(0, LISTED).map(({ callId, title }) => `${privacy.id(callId)} ${title}`)
  const more = calls.length > LISTED ? ', …' : ''
  return [
    risk(
      'parked calls',
      `${count(calls.length, 'call')} that the code does not fit: ${ids.join(', ')}${more}`,
      {
        risk: 'nobody works on them until other code is there',
        fix: 'mcp-durable call ID says where code and journal part; deploy code that fits, or mcp-durable retry ID',
      },
    ),
  ]
}

/** Goes through the sessions, and the calls without one, at most so many of each, and looks for open calls whose owner is gone. */
export async function checkCalls(
  inspect: Inspection,
  {
    nodes,
    leaseMs,
    privacy,
    most,
  }: { nodes: readonly InspectedNode[]; leaseMs: number; privacy: Privacy; most: number },
): Promise<Finding[]> {
  const { calls: inSessions, looked, total } = await openCalls(inspect, most)
  const alone = await callsAlone(inspect, most)
  const calls = [...inSessions, ...alone.calls]
  const alive = new Set(nodes.filter((node) => isAlive(node, leaseMs)).map(({ node }) => node))
  // What is parked waits for its client, or for a time.
  const orphans = calls.filter(({ owner, hasJournal }) => hasJournal && !isParked(owner) && !alive.has(owner))
  const part =
    (looked < total ? `, in the last used ${looked} of ${total} sessions` : '') +
    (alone.isPart ? `, among ${alone.looked} journals` : '')
  const open =
    `${count(inSessions.length, 'open call')} in ${count(looked, 'session')}${looked < total ? ` of ${total}` : ''}` +
    `, ${alone.calls.length} without a session${alone.isPart ? `, among ${alone.looked} journals` : ''}`
  if (orphans.length === 0) return [ok('open calls', open)]
  const ids = orphans
    .slice(0, LISTED)
    .map(({ callId, owner }) => `${privacy.id(callId)} of ${privacy.id(owner)}`)
  const more = orphans.length > LISTED ? ', …' : ''
  const found = `${count(orphans.length, 'call')} of nodes that are gone${part}: ${ids.join(', ')}${more}`
  const known = orphans.every(({ owner }) => nodes.some(({ node }) => node === owner))
  if (alive.size > 0 && known) {
    return [
      ok('open calls', open),
      note('orphaned calls', found, { risk: 'they are about to be taken over' }),
    ]
  }
  return [
    ok('open calls', open),
    risk('orphaned calls', found, {
      risk: 'their clients wait for a result that nobody works on',
      fix:
        alive.size > 0
          ? 'mcp-durable clear ID ends one, with its session if it has one'
          : 'start a node: it takes the calls over within seconds',
    }),
  ]
}

async function openCalls(inspect: Inspection, most: number) {
  const total = await inspect.sessions.count()
  const calls: OwnedCall[] = []
  let looked = 0
  while (looked < most) {
    const ids = await inspect.sessions.newest(Math.min(PAGE, most - looked), looked)
    if (ids.length === 0) break
    looked += ids.length
    const found = await Promise.all(ids.map((id) => callsOf(inspect, id)))
    calls.push(...found.flat())
  }
  return { calls, looked, total: Math.max(total, looked) }
}

/** Found among the keys. */
async function callsAlone(inspect: Inspection, most: number) {
  const calls: OwnedCall[] = []
  let looked = 0
  for await (const page of inspect.calls.all()) {
    looked += page.length
    const found = await Promise.all(page.map((place) => inspect.calls.read(place)))
    for (const call of found) {
      const { owner, inSession = true } = call ?? {}
      if (call && owner !== undefined && !inSession) calls.push({ ...call, owner, hasJournal: true })
    }
    if (looked >= most) break
  }
  return { calls, looked, isPart: looked >= most }
}

async function callsOf(inspect: Inspection, scope: string): Promise<OwnedCall[]> {
  const open = await inspect.sessions.openCalls(scope)
  return Promise.all(
    open.map(async ({ callId, owner }) => {
      const hasJournal = (await inspect.logs.size(scope, `call:${callId}`)) > 0
      return { scope, callId, owner, hasJournal }
    }),
  )
}
