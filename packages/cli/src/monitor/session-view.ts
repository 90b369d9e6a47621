import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import { callOf, follow } from '../look/follow.js'
import { SessionLog } from '../look/session-log.js'
import type { SessionEvent } from '../look/session-log.js'
import { messageOf } from '../errors.js'

const KEPT = 5000

/** A session, or a call, in a session or not. */
export type OpenPlace = { scope: string; callId: string | undefined; inSession: boolean }

/** A session, or one call, that is open on the screen: its events so far, and those that come. */
export class SessionView {
  readonly scope: string
  readonly callId: string | undefined
  readonly inSession: boolean
  events: SessionEvent[] = []
  state: 'reading' | 'following' | 'ended' = 'reading'
  problem: string | undefined
  /** Lines that the page is above the end; 0 follows. */
  scrolled = 0
  readonly #closed = new AbortController()

  constructor(
    { inspect, store }: { inspect: Inspection; store: Store },
    { scope, callId, inSession }: OpenPlace,
    changed: () => void,
  ) {
    this.scope = scope
    this.callId = callId
    this.inSession = inSession
    void this.#follow(inspect, store, changed).catch((error: unknown) => {
      this.problem = messageOf(error)
      changed()
    })
  }

  close() {
    this.#closed.abort()
  }

  /** Up for positive numbers. */
  scroll(by: number, page: number) {
    this.scrolled = Math.min(Math.max(0, this.scrolled + by), Math.max(0, this.events.length - page))
  }

  /** The events of a page of so many lines. */
  page(lines: number): SessionEvent[] {
    const end = this.events.length - this.scrolled
    return this.events.slice(Math.max(0, end - lines), end)
  }

  async #follow(inspect: Inspection, store: Store, changed: () => void) {
    const log = new SessionLog(inspect, this.scope)
    if (this.callId === undefined) await log.findCalls()
    else log.noteCall(this.callId)
    const heard = (topic: string) => {
      const callId = callOf(topic)
      if (callId !== undefined) log.noteCall(callId)
    }
    const look = async () => {
      const events = await log.read()
      this.state = events ? 'following' : 'ended'
      const shown = (events ?? []).filter((event) => this.#shows(event))
      this.events = [...this.events, ...shown].slice(-KEPT)
      // Who has scrolled up stays where he is.
      if (this.scrolled > 0) this.scrolled += shown.length
      changed()
      return events !== undefined
    }
    await follow(store, this.scope, { heard, look, signal: this.#closed.signal })
  }

  #shows(event: SessionEvent) {
    return this.callId === undefined || (event.source === 'call' && event.callId === this.callId)
  }
}
