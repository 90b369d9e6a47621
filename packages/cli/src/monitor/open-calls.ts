import { CallLog, isSessionless, runStatusOf } from '@mcp-durable/core/inspect'
import type { CallEvent, Inspection } from '@mcp-durable/core/inspect'
import { tell } from '../show/call-events.js'
import type { Privacy } from '../show/privacy.js'
import type { CallRow, Takeover } from './snapshot.js'

/** Steps wake nobody, so journals are looked at again and again. */
const REREAD_MS = 1000

type Followed = { log: CallLog; last: CallEvent | undefined; readAt: number; stale: boolean }
export type OwnedCall = { scope: string; callId: string; owner: string }
/** `id`: the record that claims. */
export type SeenTakeover = Takeover & { id: string }

/** The journals of the calls that are open, read on as they grow; at most so many of them. */
export class OpenCalls {
  readonly #inspect: Inspection
  readonly #privacy: Privacy
  readonly #most: number
  readonly #followed = new Map<string, Followed>()

  constructor(inspect: Inspection, privacy: Privacy, most: number) {
    this.#inspect = inspect
    this.#privacy = privacy
    this.#most = most
  }

  /** The journal of a call has grown. */
  grew(callId: string) {
    const followed = this.#followed.get(callId)
    if (followed) followed.stale = true
  }

  /** Reads what is new, and answers with the takeovers among it. */
  async refresh(calls: readonly OwnedCall[], now = Date.now()): Promise<SeenTakeover[]> {
    const open = new Set(calls.map(({ callId }) => callId))
    for (const callId of this.#followed.keys()) if (!open.has(callId)) this.#followed.delete(callId)
    for (const { scope, callId } of calls.slice(0, this.#most)) {
      if (this.#followed.has(callId)) continue
      const log = new CallLog(this.#inspect, { scope, callId })
      this.#followed.set(callId, { log, last: undefined, readAt: 0, stale: true })
    }
    const due = [...this.#followed.values()].filter(({ stale, readAt }) => stale || now - readAt > REREAD_MS)
    return (await Promise.all(due.map((followed) => this.#read(followed, now)))).flat()
  }

  row(
    { scope, callId, owner }: OwnedCall,
    { now, place }: { now: number; place: (node: string) => { place: string | undefined; alive: boolean } },
  ): CallRow {
    const followed = this.#followed.get(callId)
    const timeline = followed?.log.timeline
    const { place: ownerPlace, alive } = place(owner)
    const nodeName = (node: string) => place(node).place ?? this.#privacy.id(node)
    const last = followed?.last
    return {
      callId,
      scope,
      inSession: !isSessionless(timeline?.protocol ?? ''),
      title: timeline?.title ?? '',
      version: timeline?.version,
      isTask: timeline?.isTask ?? false,
      status: timeline ? runStatusOf({ owner }, timeline, new Set(alive ? [owner] : [])) : 'running',
      owner,
      ownerPlace,
      owned: alive,
      ageMs: timeline ? now - timeline.openedAt : 0,
      attempt: timeline?.attempts.length ?? 0,
      last: last ? tell(last, { privacy: this.#privacy, nodeName }).text : '',
      lastMs: last ? now - last.at : 0,
      waits: (timeline?.pendingQuestions.length ?? 0) > 0 || timeline?.divergence !== undefined,
    }
  }

  async #read(followed: Followed, now: number): Promise<SeenTakeover[]> {
    followed.stale = false
    followed.readAt = now
    const { log } = followed
    const events = await log.read().catch((error: unknown) => {
      followed.stale = true
      throw error
    })
    followed.last = events.at(-1) ?? followed.last
    return events.flatMap((event) =>
      event.kind === 'taken-over'
        ? [
            {
              id: event.id,
              at: event.at,
              callId: log.place.callId,
              title: log.timeline.title,
              to: event.node,
              from: event.from,
            },
          ]
        : [],
    )
  }
}
