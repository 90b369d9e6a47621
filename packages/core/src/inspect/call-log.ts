import type { CallPlace } from '../session/place.js'
import type { CallEvent } from './call-event.js'
import type { Inspection, LogsInspection } from './inspection.js'
import { CallTimeline } from './timeline.js'

const PAGE = 500

/** The journal and inbox of one call, read on from where it was read to. */
export class CallLog {
  readonly place: CallPlace
  readonly timeline: CallTimeline
  readonly #logs: LogsInspection
  #journalEnd: string | undefined
  #inboxEnd: string | undefined

  constructor({ logs }: Pick<Inspection, 'logs'>, place: CallPlace) {
    this.#logs = logs
    this.place = place
    this.timeline = new CallTimeline(place.callId)
  }

  /** What has come since the last time, in the order in which it happened. */
  async read(): Promise<CallEvent[]> {
    if (this.timeline.status !== 'open') return []
    const { callId } = this.place
    // The inbox first: the response drops it, and what was in it would be lost.
    const inbox = await this.#rest(`call:${callId}:in`, this.#inboxEnd)
    const journal = await this.#rest(`call:${callId}`, this.#journalEnd)
    this.#inboxEnd = inbox.at(-1)?.id ?? this.#inboxEnd
    this.#journalEnd = journal.at(-1)?.id ?? this.#journalEnd
    const entries = [
      ...journal.map((entry) => ({ entry, isInbox: false })),
      ...inbox.map((entry) => ({ entry, isInbox: true })),
    ].toSorted((a, b) => a.entry.at - b.entry.at)
    return entries.flatMap(({ entry, isInbox }) => {
      const event = isInbox ? this.timeline.addInbox(entry) : this.timeline.add(entry)
      return event ? [event] : []
    })
  }

  async #rest(log: `call:${string}`, after: string | undefined) {
    const entries = []
    for (;;) {
      const page = await this.#logs.read(this.place.scope, log, entries.at(-1)?.id ?? after, PAGE)
      entries.push(...page)
      if (page.length < PAGE) return entries
    }
  }
}
