import { CallLog, isAlive, isSessionless, runStatusOf } from '@mcp-durable/core/inspect'
import type { CallEvent, CallPlace, InspectedCall } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import { runStyles } from '../commands/calls.js'
import { tell } from '../show/call-events.js'
import { Feed, shownPayload } from './feed.js'
import type { FeedServices } from './feed.js'
import { Lanes } from './lanes.js'
import { toneOf } from './sections.js'
import type { Action, CallFrame, CallHead, EventRow } from './wire.js'

const MOST_LANES = 300

/** One call as it goes on. */
export class CallFeed extends Feed<CallHead, EventRow, CallFrame> {
  readonly #place: CallPlace
  readonly #log: CallLog
  readonly #lanes: Lanes
  readonly #kin: CallHead['kin'] = []

  constructor(services: FeedServices, place: CallPlace) {
    super(services)
    this.#place = place
    this.#log = new CallLog(services.inspect, place)
    this.#lanes = new Lanes(this.showing)
    void this.run(place.scope)
  }

  protected async look(): Promise<boolean> {
    const { inspect, leaseMs } = this.services
    const [events, call, nodes, now] = await Promise.all([
      this.#log.read(),
      inspect.calls.read(this.#place),
      inspect.nodes.list(),
      inspect.nodes.clock(),
    ])
    this.notePlaces(nodes)
    for (const event of events) {
      this.#lanes.add(event)
      if (event.kind === 'became' || (event.kind === 'opened' && event.of)) this.#related(event)
    }
    const alive = new Set(nodes.filter((node) => isAlive(node, leaseMs)).map(({ node }) => node))
    this.tell(
      this.#headOf(call, alive, now),
      events.map((event) => this.#row(event)),
    )
    return call !== undefined && this.#log.timeline.status === 'open'
  }

  protected frame(
    head: CallHead,
    events: EventRow[],
    { first, left }: { first: boolean; left: number },
  ): CallFrame {
    const lanes = this.#lanes.all(this.#log.timeline.questions)
    return {
      first,
      head,
      lanes: lanes.slice(0, MOST_LANES),
      lanesLeft: Math.max(0, lanes.length - MOST_LANES),
      events,
      eventsLeft: left,
    }
  }

  #row(event: CallEvent): EventRow {
    const { text, style } = tell(event, this.showing)
    const isNewRun = event.kind === 'opened' || event.kind === 'taken-over'
    return {
      at: event.at,
      run: isNewRun ? event.attempt : 0,
      text,
      tone: toneOf(style),
      payload: shownPayload(this.services.privacy, event.payload),
    }
  }

  #headOf(call: InspectedCall | undefined, alive: ReadonlySet<string>, now: number): CallHead {
    const { privacy, handles } = this.services
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
      owner: owner === undefined || isParked(owner) ? '' : this.showing.nodeName(owner),
      openedAt: timeline.openedAt,
      endedAt: timeline.endedAt ?? null,
      wakesAt: timeline.wakesAt ?? null,
      runs: timeline.attempts.length,
      kin: this.#kin,
      actions: this.services.acts ? this.#actions(status) : [],
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
    this.#kin.push({ ...this.services.handles.name({ scope, callId }), text })
  }
}
