import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '@mcp-durable/core'
import { CallLog, isAlive, isSessionless, runStatusOf } from '@mcp-durable/core/inspect'
import type { CallEvent, CallPlace, InspectedCall, Inspection } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import { runStyles } from '../commands/calls.js'
import { messageOf } from '../errors.js'
import { follow } from '../look/follow.js'
import { placeOf } from '../look/node-names.js'
import { tell } from '../show/call-events.js'
import type { Showing } from '../show/session-events.js'
import { Lanes } from './lanes.js'
import { toneOf } from './sections.js'
import type { Shown } from './sections.js'
import type { Action, CallFrame, CallHead, EventRow } from './wire.js'

export type FeedServices = Shown & { inspect: Inspection; store: Store; leaseMs: number }
type Listener = (frame: CallFrame) => void

const KEPT = 2000
const MOST_LANES = 300
const MOST_CHARS = 16_384
const AGAIN_MS = 1000
const MOST_WAIT_MS = 15_000

/** One call as it goes on, for all browsers that have it open. */
export class CallFeed {
  readonly #services: FeedServices
  readonly #place: CallPlace
  readonly #log: CallLog
  readonly #lanes: Lanes
  readonly #showing: Showing
  readonly #places = new Map<string, string>()
  readonly #listeners = new Set<Listener>()
  readonly #closed = new AbortController()
  readonly #kin: CallHead['kin'] = []
  #events: EventRow[] = []
  #left = 0
  #head: CallHead | undefined
  #waitMs = AGAIN_MS

  constructor(services: FeedServices, place: CallPlace) {
    this.#services = services
    this.#place = place
    this.#log = new CallLog(services.inspect, place)
    const { privacy } = services
    this.#showing = {
      privacy,
      nodeName: (node) => this.#places.get(node) ?? services.placeOf(node) ?? privacy.id(node),
    }
    this.#lanes = new Lanes(this.#showing)
    void this.#run()
  }

  get isUsed() {
    return this.#listeners.size > 0
  }

  /** Gets all that is known at once, then what is new. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    if (this.#head) listener(this.#frame(this.#head, this.#events, true))
    return () => void this.#listeners.delete(listener)
  }

  close() {
    this.#closed.abort()
  }

  async #run() {
    const { store } = this.#services
    const { signal } = this.#closed
    while (!signal.aborted) {
      try {
        await follow(store, this.#place.scope, { heard: () => undefined, look: () => this.#look(), signal })
        return
      } catch (error) {
        if (this.#head) this.#tell({ ...this.#head, problem: messageOf(error) }, [])
        await sleep(this.#waitMs, undefined, { signal }).catch(() => undefined)
        this.#waitMs = Math.min(MOST_WAIT_MS, this.#waitMs * 2)
      }
    }
  }

  /** `false`: nothing comes any more. */
  async #look(): Promise<boolean> {
    const { inspect, leaseMs } = this.#services
    const [events, call, nodes, now] = await Promise.all([
      this.#log.read(),
      inspect.calls.read(this.#place),
      inspect.nodes.list(),
      inspect.nodes.clock(),
    ])
    this.#waitMs = AGAIN_MS
    for (const { node, about } of nodes) {
      const place = placeOf(about)
      if (place !== undefined) this.#places.set(node, place)
    }
    for (const event of events) {
      this.#lanes.add(event)
      if (event.kind === 'became' || (event.kind === 'opened' && event.of)) this.#related(event)
    }
    const alive = new Set(nodes.filter((node) => isAlive(node, leaseMs)).map(({ node }) => node))
    this.#tell(
      this.#headOf(call, alive, now),
      events.map((event) => this.#row(event)),
    )
    return call !== undefined && this.#log.timeline.status === 'open'
  }

  #tell(head: CallHead, events: EventRow[]) {
    const isSame =
      this.#head && JSON.stringify({ ...this.#head, now: 0 }) === JSON.stringify({ ...head, now: 0 })
    const first = this.#head === undefined
    this.#head = head
    this.#events.push(...events)
    const left = Math.max(0, this.#events.length - KEPT)
    this.#left += left
    this.#events = this.#events.slice(left)
    if (isSame && events.length === 0) return
    const frame = this.#frame(head, first ? this.#events : events, first)
    for (const listener of this.#listeners) listener(frame)
  }

  #frame(head: CallHead, events: EventRow[], first: boolean): CallFrame {
    const lanes = this.#lanes.all(this.#log.timeline.questions)
    return {
      first,
      head,
      lanes: lanes.slice(0, MOST_LANES),
      lanesLeft: Math.max(0, lanes.length - MOST_LANES),
      events,
      eventsLeft: this.#left,
    }
  }

  #row(event: CallEvent): EventRow {
    const { text, style } = tell(event, this.#showing)
    const payload = this.#services.privacy.payload(event.payload)
    const left = payload.length - MOST_CHARS
    const isNewRun = event.kind === 'opened' || event.kind === 'taken-over'
    return {
      at: event.at,
      run: isNewRun ? event.attempt : 0,
      text,
      tone: toneOf(style),
      payload: left > 0 ? `${payload.slice(0, MOST_CHARS)}… and ${left} more characters` : payload,
    }
  }

  #headOf(call: InspectedCall | undefined, alive: ReadonlySet<string>, now: number): CallHead {
    const { privacy, handles } = this.#services
    const { timeline } = this.#log
    const status = runStatusOf({ owner: call?.owner }, timeline, alive)
    const owner = call?.owner
    return {
      ...handles.name(this.#place),
      now,
      title: timeline.title,
      version: timeline.version ?? '',
      isTask: timeline.isTask,
      status,
      tone: toneOf(runStyles[status]),
      session: call?.inSession === true ? privacy.id(this.#place.scope) : '',
      protocol: call?.protocolVersion ?? timeline.protocol,
      principal: call?.principal === undefined ? '' : privacy.id(call.principal),
      owner: owner === undefined || isParked(owner) ? '' : this.#showing.nodeName(owner),
      openedAt: timeline.openedAt,
      endedAt: timeline.endedAt ?? null,
      wakesAt: timeline.wakesAt ?? null,
      runs: timeline.attempts.length,
      kin: this.#kin,
      actions: this.#services.acts ? this.#actions(status) : [],
      problem:
        call || timeline.attempts.length > 0 ? null : 'this call is gone: its journal is not kept any more',
    }
  }

  #actions(status: string): Action[] {
    const { timeline } = this.#log
    if (timeline.status === 'open' && status === 'diverged') return ['retry', 'cancel']
    if (timeline.status === 'open') return status === 'sleeping' ? ['resume', 'cancel'] : ['cancel']
    const retry: Action[] = status === 'completed' ? [] : ['retry']
    return timeline.steps.size > 0 ? [...retry, 'fork'] : retry
  }

  /** The call that it was made of, or that was made of it. Both are in its session, or each in its own scope. */
  #related(event: CallEvent & { kind: 'opened' | 'became' }) {
    const made = event.kind === 'became' ? event : event.of
    if (!made) return
    const { callId, action, by } = made
    const scope = isSessionless(this.#log.timeline.protocol) ? callId : this.#place.scope
    const text = event.kind === 'became' ? `${by} made a ${action} of it` : `${by} made it, a ${action}`
    this.#kin.push({ ...this.#services.handles.name({ scope, callId }), text })
  }
}
