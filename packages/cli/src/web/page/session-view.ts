import { span } from '../../show/span.js'
import type { SessionCallRow, SessionEventRow, SessionFrame, SessionHead } from '../wire.js'
import { callColumns, tookColumn } from './call-columns.js'
import { Detail } from './detail.js'
import type { EventCells, Fact } from './detail.js'
import { clockOf, element } from './dom.js'
import { LiveTable } from './live-table.js'
import type { Column } from './live-table.js'
import { callLink } from './view.js'
import type { Followed, Known, View } from './view.js'

const facts: Fact<SessionHead>[] = [
  ['principal', ({ principal }) => principal || 'none'],
  ['client', ({ client }) => client],
  ['protocol', ({ protocol }) => protocol],
  ['nodes', ({ nodes }) => nodes.join(', ') || 'none'],
  ['standalone stream', ({ standalone, undelivered }) => streamOf(standalone, undelivered)],
  ['age', ({ createdAt }, now) => (createdAt === null ? '–' : span(Math.max(0, now - createdAt)))],
  ['ends in', ({ endsAt }, now) => span(Math.max(0, endsAt - now))],
]

function streamOf(messages: number, undelivered: boolean): string {
  if (messages === 0) return 'empty'
  return `${messages} ${messages === 1 ? 'message' : 'messages'}, ${undelivered ? 'not all delivered' : 'delivered'}`
}

const columns: Column<SessionCallRow>[] = [
  callColumns.call,
  { ...callColumns.what, grows: true },
  callColumns.status,
  callColumns.age,
  tookColumn,
  callColumns.owner,
  callColumns.run,
]

/** One session: whose it is, its calls and streams, and what happened in it, in order. */
export class SessionView implements View {
  readonly title = 'Session'
  readonly follows: Followed
  readonly #calls = new LiveTable({
    title: 'Calls',
    none: 'No call is kept of it.',
    columns,
    key: ({ call }: SessionCallRow) => call,
  })
  readonly #detail = new Detail('Session', 'Of', facts, [this.#calls.element])
  #frame: SessionFrame | undefined

  constructor(session: string) {
    this.follows = { kind: 'session', name: session }
  }

  get element() {
    return this.#detail.element
  }

  hearSession(frame: SessionFrame) {
    this.#detail.hear(frame.events.map(cellsOf), frame.first)
    this.#frame = frame
  }

  refused(text: string) {
    this.#detail.refused(text)
  }

  show(_known: Known, now: number) {
    if (!this.#frame) return
    const { head, eventsLeft } = this.#frame
    this.#detail.show(head, now, { title: `Session ${head.id}`, status: head.status, eventsLeft })
    this.#calls.show(head.calls, now, head.calls.length + head.callsLeft)
  }
}

const cellsOf = ({ at, source, call, ...event }: SessionEventRow): EventCells => ({
  ...event,
  at: clockOf(at),
  of: call === '' ? source : element('a', { href: callLink(call) }, source),
})
