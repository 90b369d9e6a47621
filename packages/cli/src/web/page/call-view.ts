import { span } from '../../show/span.js'
import type { CallFrame, CallHead, EventRow } from '../wire.js'
import { Actions } from './actions.js'
import { Detail } from './detail.js'
import type { EventCells, Fact } from './detail.js'
import { element, setChildren, setHidden } from './dom.js'
import { Timeline } from './timeline.js'
import { callLink } from './view.js'
import type { Followed, Known, View } from './view.js'

const facts: Fact<CallHead>[] = [
  ['call', ({ id }) => id],
  ['owner', ({ owner, endedAt }) => owner || (endedAt === null ? 'none now' : '–')],
  ['runs', ({ runs }) => String(runs)],
  ['took', ({ openedAt, endedAt }, now) => span(Math.max(0, (endedAt ?? now) - openedAt))],
  ['session', ({ session }) => session || 'none'],
  ['principal', ({ principal }) => principal || 'none'],
  ['protocol', ({ protocol }) => protocol],
  ['version', ({ version }) => version || 'none'],
  ['opened', ({ openedAt }) => new Date(openedAt).toLocaleString()],
]

/** One call, from its request to its end. */
export class CallView implements View {
  readonly title = 'Call'
  readonly follows: Followed
  readonly #kin = element('p', { class: 'kin', hidden: true })
  readonly #actions = new Actions()
  readonly #timeline = new Timeline((lane) => this.#actions.fork(lane.step ?? '', lane.name))
  readonly #detail = new Detail('Call', 'Run', facts, [
    this.#kin,
    this.#actions.element,
    this.#timeline.element,
  ])
  #frame: CallFrame | undefined

  constructor(call: string) {
    this.follows = { kind: 'call', name: call }
  }

  get element() {
    return this.#detail.element
  }

  hear(frame: CallFrame) {
    const { events, first, head } = frame
    this.#detail.hear(
      events.map((event) => cellsOf(event, head.openedAt)),
      first,
    )
    this.#frame = frame
  }

  refused(text: string) {
    this.#detail.refused(text)
  }

  show(_known: Known, now: number) {
    if (!this.#frame) return
    const { head, lanes, lanesLeft, eventsLeft } = this.#frame
    const wakes = head.wakesAt === null ? '' : `, wakes in ${span(Math.max(0, head.wakesAt - now))}`
    const title = `${head.title || 'A call'}${head.isTask ? ' (task)' : ''}`
    this.#detail.show(head, now, { title, status: `${head.status}${wakes}`, eventsLeft })
    this.#showKin(head)
    this.#actions.show(head)
    const { openedAt, endedAt } = head
    const forks = head.actions.includes('fork')
    this.#timeline.show({ lanes, lanesLeft, openedAt, endedAt, forks }, now)
  }

  #showKin({ kin }: CallHead) {
    setHidden(this.#kin, kin.length === 0)
    if (this.#kin.children.length === kin.length) return
    setChildren(
      this.#kin,
      kin.map(({ call, id, text }) =>
        element('span', {}, `${text}: `, element('a', { href: callLink(call) }, id)),
      ),
    )
  }
}

const cellsOf = ({ at, run, ...event }: EventRow, openedAt: number): EventCells => ({
  ...event,
  at: `+${span(Math.max(0, at - openedAt))}`,
  of: run === 0 ? '' : String(run),
})
