import { isAlive, runStatusOf } from '@mcp-durable/core/inspect'
import type { CallLog } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import type { OpenCall } from '@mcp-durable/core/store'
import { runStyles } from '../commands/calls.js'
import { clientName, statusStyles } from '../commands/sessions.js'
import { callOf } from '../look/follow.js'
import { SessionLog } from '../look/session-log.js'
import type { SessionEvent } from '../look/session-log.js'
import { readSessionRow } from '../look/session-rows.js'
import { toldOf } from '../show/session-events.js'
import { Feed, shownPayload } from './feed.js'
import type { FeedServices } from './feed.js'
import { toneOf } from './sections.js'
import type { SessionCallRow, SessionEventRow, SessionFrame, SessionHead } from './wire.js'

const MOST_CALLS = 500
const GONE = 'this session is over: its client has deleted it, it has expired, or it was evicted'

/** One session as it goes on: its calls, the nodes that ran them, its streams, and what happened in it. */
export class SessionFeed extends Feed<SessionHead, SessionEventRow, SessionFrame> {
  readonly #scope: string
  readonly #log: SessionLog
  readonly #nodes = new Set<string>()
  #areCallsKnown = false
  #head: SessionHead

  constructor(services: FeedServices, scope: string) {
    super(services)
    this.#scope = scope
    this.#log = new SessionLog(services.inspect, scope)
    const none = { status: 'gone', tone: 'dim', client: '-', protocol: '', principal: '' } as const
    this.#head = {
      ...none,
      now: 0,
      id: services.privacy.id(scope),
      createdAt: null,
      endsAt: 0,
      standalone: 0,
      undelivered: false,
      nodes: [],
      calls: [],
      callsLeft: 0,
      problem: GONE,
    }
    void this.run(scope, (topic) => {
      const callId = callOf(topic)
      if (callId !== undefined) this.#log.noteCall(callId)
    })
  }

  protected async look(): Promise<boolean> {
    const { inspect } = this.services
    if (!this.#areCallsKnown) await this.#log.findCalls()
    this.#areCallsKnown = true
    const [nodes, now] = await Promise.all([inspect.nodes.list(), inspect.nodes.clock()])
    this.notePlaces(nodes)
    const [events, session, row] = await Promise.all([
      this.#log.read(),
      inspect.sessions.read(this.#scope),
      readSessionRow(inspect, this.#scope, now),
    ])
    if (!events || !session || !row) {
      this.tell({ ...this.#head, status: 'gone', tone: 'dim', now, problem: GONE }, [])
      return false
    }
    for (const event of events) this.#noteNode(event)
    const [newest] = await inspect.logs.newest(this.#scope, 'out', 1)
    const alive = new Set(
      nodes.filter((node) => isAlive(node, this.services.leaseMs)).map(({ node }) => node),
    )
    const calls = [...this.#log.calls.values()].filter(({ timeline }) => timeline.attempts.length > 0)
    const rows = calls.map((call) => this.#callRow(call, session.openCalls, alive))
    const { privacy } = this.services
    this.#head = {
      now,
      id: privacy.id(this.#scope),
      status: row.status,
      tone: toneOf(statusStyles[row.status]),
      client: clientName(row.client),
      protocol: row.protocol,
      principal: row.principal === undefined ? '' : privacy.id(row.principal),
      createdAt: row.ageMs === undefined ? null : Math.round((now - row.ageMs) / 1000) * 1000,
      endsAt: Math.round((now + row.expiresInMs) / 1000) * 1000,
      standalone: session.standalone,
      undelivered: newest !== undefined && newest.id !== session.delivered,
      nodes: [...this.#nodes].map((node) => this.showing.nodeName(node)),
      calls: rows.toSorted((a, b) => b.openedAt - a.openedAt).slice(0, MOST_CALLS),
      callsLeft: Math.max(0, rows.length - MOST_CALLS),
      problem: null,
    }
    this.tell(
      this.#head,
      events.map((event) => this.#row(event)),
    )
    return true
  }

  protected frame(
    head: SessionHead,
    events: SessionEventRow[],
    { first, left }: { first: boolean; left: number },
  ): SessionFrame {
    return { first, head, events, eventsLeft: left }
  }

  #noteNode(event: SessionEvent) {
    if (event.source !== 'call') return
    const { event: inner } = event
    if ((inner.kind === 'opened' && !inner.of) || inner.kind === 'taken-over' || inner.kind === 'continued')
      this.#nodes.add(inner.node)
  }

  #callRow(
    { place, timeline }: CallLog,
    open: readonly OpenCall[],
    alive: ReadonlySet<string>,
  ): SessionCallRow {
    const owner = open.find(({ callId }) => callId === place.callId)?.owner
    const status = runStatusOf({ owner }, timeline, alive)
    return {
      ...this.services.handles.name(place),
      title: timeline.title,
      isTask: timeline.isTask,
      status,
      tone: toneOf(runStyles[status]),
      owner: owner === undefined || isParked(owner) ? '' : this.showing.nodeName(owner),
      openedAt: timeline.openedAt,
      endedAt: timeline.endedAt ?? null,
      attempt: timeline.attempts.length,
    }
  }

  #row(event: SessionEvent): SessionEventRow {
    const { source, text, style, payload } = toldOf(event, this.showing)
    const call =
      event.source === 'call'
        ? this.services.handles.name({ scope: this.#scope, callId: event.callId }).call
        : ''
    return {
      at: event.at,
      source,
      call,
      text,
      tone: toneOf(style),
      payload: shownPayload(this.services.privacy, payload),
    }
  }
}
