import { decodeAbout } from '@mcp-durable/core/inspect'
import type { Store } from '@mcp-durable/core'
import type { InspectedNode, Inspection } from '@mcp-durable/core/inspect'
import { messageOf } from '../errors.js'
import { callOf } from '../look/follow.js'
import { placeOf } from '../look/node-names.js'
import { readSessionRow } from '../look/session-rows.js'
import type { SessionRow } from '../look/session-rows.js'
import type { Privacy } from '../show/privacy.js'
import { Activity } from './activity.js'
import { OpenCalls } from './open-calls.js'
import type { OwnedCall } from './open-calls.js'
import type { NodeRow, NodeState, Snapshot } from './snapshot.js'
import { Watches } from './watches.js'

export type ModelOptions = {
  where: string
  privacy: Privacy
  /** Sessions to look at: the last used ones. */
  sessions: number
  leaseMs: number
}

/** A row that nothing was heard of is read again after so long. */
const REREAD_MS = 5000
const LATE_MS = 2000
/** How long a node is shown that the others have removed. */
const BURIED_MS = 30_000
/** Of each node, sessions that it may run calls in. */
const MOST_HELD = 200
const MOST_WATCHED = 500
const MOST_FOLLOWED = 200

/**
 * Puts together what the monitor shows. What it asks of the store is bounded: of each look at most a few commands for
 * each session that it looks at, most of which are only asked for their open calls.
 */
export class MonitorModel {
  readonly #inspect: Inspection
  readonly #options: ModelOptions
  readonly #activity = new Activity()
  readonly #open: OpenCalls
  readonly #watches: Watches
  readonly #rows = new Map<string, { row: SessionRow; readAt: number; stale: boolean }>()
  readonly #beganAt = Date.now()
  /** Where nodes ran that are gone. */
  readonly #places = new Map<string, string>()
  /** Nodes as they were when they lived; who is removed is shown for a while. */
  readonly #seen = new Map<string, { row: NodeRow; beatAt: number }>()
  #hasLooked = false
  #last: Snapshot

  constructor(inspect: Inspection, store: Store, options: ModelOptions) {
    this.#inspect = inspect
    this.#options = options
    this.#open = new OpenCalls(inspect, options.privacy, MOST_FOLLOWED)
    this.#watches = new Watches(store, MOST_WATCHED, (scope, topic, value) =>
      this.#heard(scope, topic, value),
    )
    this.#last = {
      at: Date.now(),
      where: options.where,
      nodes: [],
      sessions: [],
      totalSessions: 0,
      calls: [],
      rates: this.#activity.rates(),
      takeovers: [],
      problem: undefined,
    }
  }

  get snapshot() {
    return this.#last
  }

  /** Where a node runs, or has run, if it was ever seen: `host:pid`. */
  place(node: string): string | undefined {
    return this.#places.get(node)
  }

  /** Looks again. While the store is away the last picture stays, with the problem. */
  async refresh(): Promise<Snapshot> {
    try {
      this.#last = await this.#look()
    } catch (error) {
      this.#last = { ...this.#last, at: Date.now(), problem: messageOf(error) }
    }
    return this.#last
  }

  async #look(): Promise<Snapshot> {
    const { sessions: most, where, leaseMs } = this.#options
    const [now, nodes, newest, totalSessions] = await Promise.all([
      this.#inspect.nodes.clock(),
      this.#inspect.nodes.list(),
      this.#inspect.sessions.newest(most),
      this.#inspect.sessions.count(),
    ])
    const held = await Promise.all(nodes.map(({ node }) => this.#held(node)))
    const scopes = [...new Set([...held.flat(), ...newest])]
    const calls = (await Promise.all(scopes.map((scope) => this.#callsOf(scope)))).flat()
    this.#hasLooked = true
    this.#watches.set(scopes)
    const takeovers = await this.#open.refresh(calls)
    for (const { id, ...takeover } of takeovers) {
      if (takeover.at >= this.#beganAt - LATE_MS) this.#activity.tookOver(id, takeover)
    }
    const sessions = await this.#sessions(newest, calls, now)
    const nodeRows = nodes.map((node) => this.#nodeRow(node, calls, { now, leaseMs }))
    const alive = new Map(nodeRows.map(({ node, state }) => [node, state !== 'gone']))
    const place = (node: string) => ({ place: this.#places.get(node), alive: alive.get(node) ?? false })
    return {
      at: now,
      where,
      nodes: this.#withBuried(nodeRows, now),
      sessions,
      totalSessions,
      calls: calls.map((call) => this.#open.row(call, { now, place })),
      rates: this.#activity.rates(),
      takeovers: [...this.#activity.takeovers],
      problem: undefined,
    }
  }

  async #held(node: string): Promise<string[]> {
    const scopes: string[] = []
    for await (const page of this.#inspect.nodes.held(node)) {
      scopes.push(...page)
      if (scopes.length >= MOST_HELD) break
    }
    return scopes.slice(0, MOST_HELD)
  }

  async #callsOf(scope: string): Promise<OwnedCall[]> {
    const open = await this.#inspect.sessions.openCalls(scope)
    return open.map(({ callId, owner }) => {
      this.#activity.sawCall(callId, Date.now(), !this.#hasLooked)
      return { scope, callId, owner }
    })
  }

  async #sessions(ids: readonly string[], calls: readonly OwnedCall[], now: number): Promise<SessionRow[]> {
    const wanted = new Set(ids)
    for (const id of this.#rows.keys()) if (!wanted.has(id)) this.#rows.delete(id)
    const open = new Map<string, number>()
    for (const { scope } of calls) open.set(scope, (open.get(scope) ?? 0) + 1)
    await Promise.all(
      ids.map(async (id) => {
        const known = this.#rows.get(id)
        const same = known?.row.openCalls.length === (open.get(id) ?? 0)
        if (known && same && !known.stale && Date.now() - known.readAt < REREAD_MS) return
        const row = await readSessionRow(this.#inspect, id, now)
        if (row) this.#rows.set(id, { row, readAt: Date.now(), stale: false })
        else this.#rows.delete(id)
      }),
    )
    return ids.flatMap((id) => {
      const known = this.#rows.get(id)
      return known ? [aged(known.row, Date.now() - known.readAt)] : []
    })
  }

  #withBuried(rows: readonly NodeRow[], now: number): NodeRow[] {
    const listed = new Set(rows.map(({ node }) => node))
    for (const [node, { beatAt }] of this.#seen) if (now - beatAt > BURIED_MS) this.#seen.delete(node)
    for (const row of rows) {
      if (row.state !== 'gone') this.#seen.set(row.node, { row, beatAt: now - (row.lateMs ?? 0) })
    }
    const lateMs = (node: string) => {
      const seen = this.#seen.get(node)
      return seen && now - seen.beatAt
    }
    const removed = [...this.#seen.values()].filter(({ row }) => !listed.has(row.node))
    return [
      ...rows.map((row) => ({ ...row, lateMs: row.lateMs ?? lateMs(row.node) })),
      ...removed.map(({ row }): NodeRow => {
        return { ...row, state: 'gone', lateMs: lateMs(row.node), calls: 0, scopes: 0, uptimeMs: undefined }
      }),
    ]
  }

  #nodeRow(node: InspectedNode, calls: readonly OwnedCall[], at: { now: number; leaseMs: number }): NodeRow {
    const about = node.about === undefined ? undefined : decodeAbout(node.about)
    const place = placeOf(node.about)
    if (place !== undefined) this.#places.set(node.node, place)
    return {
      node: node.node,
      place,
      version: about?.version,
      state: stateOf(node, at.leaseMs),
      lateMs: node.left ? undefined : node.lateMs,
      uptimeMs: about && Math.max(0, at.now - about.startedAt),
      calls: calls.filter(({ owner }) => owner === node.node).length,
      scopes: node.scopes,
    }
  }

  #heard(scope: string, topic: string, value: string) {
    const row = this.#rows.get(scope)
    if (row) row.stale = true
    const callId = callOf(topic)
    if (callId === undefined || topic.endsWith(':in')) return
    this.#open.grew(callId)
    this.#activity.heard(callId, value)
  }
}

function aged(row: SessionRow, ms: number): SessionRow {
  const { ageMs, expiresInMs } = row
  return { ...row, ageMs: ageMs === undefined ? undefined : ageMs + ms, expiresInMs: expiresInMs - ms }
}

function stateOf({ left, lateMs }: InspectedNode, leaseMs: number): NodeState {
  if (left || lateMs >= leaseMs) return 'gone'
  return lateMs >= LATE_MS ? 'late' : 'alive'
}
