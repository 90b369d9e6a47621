import { span } from '../../show/span.js'
import type { CallFrame, CallHead, EventRow } from '../wire.js'
import { Actions } from './actions.js'
import { element, setChildren, setHidden, setText } from './dom.js'
import { Timeline } from './timeline.js'
import { callLink } from './view.js'
import type { Followed, Known, View } from './view.js'

const KEPT = 2000

type Fact = [name: string, text: (head: CallHead, now: number) => string]
const facts: Fact[] = [
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
  readonly element: HTMLElement
  readonly follows: Followed
  readonly #heading = element('h1', { tabindex: '-1' }, 'Call')
  readonly #status = element('p', { class: 'badge', role: 'status' })
  readonly #problem = element('p', { class: 'problem', role: 'alert', hidden: true })
  readonly #facts = new Map(facts.map(([name]) => [name, element('dd')]))
  readonly #kin = element('p', { class: 'kin', hidden: true })
  readonly #actions = new Actions()
  readonly #timeline = new Timeline((lane) => this.#actions.fork(lane.step ?? '', lane.name))
  readonly #events = element('tbody')
  readonly #left = element('p', { class: 'none', hidden: true })
  readonly #body: HTMLElement
  #frame: CallFrame | undefined

  constructor(call: string) {
    this.follows = { kind: 'call', name: call }
    const list = element('dl', { class: 'facts' })
    for (const [name, fact] of this.#facts) list.append(element('div', {}, element('dt', {}, name), fact))
    this.#body = element(
      'div',
      { class: 'view' },
      list,
      this.#kin,
      this.#actions.element,
      this.#timeline.element,
      this.#eventsTable(),
    )
    this.#body.hidden = true
    this.element = element(
      'div',
      { class: 'view' },
      element('div', { class: 'title' }, this.#heading, this.#status),
      this.#problem,
      this.#body,
    )
  }

  hear(frame: CallFrame) {
    if (frame.first) this.#events.replaceChildren()
    this.#events.append(...frame.events.map((event) => eventRow(event, frame.head.openedAt)))
    while (this.#events.children.length > KEPT) this.#events.firstElementChild?.remove()
    this.#frame = frame
    this.#body.hidden = false
  }

  refused(text: string) {
    setText(this.#problem, text)
    this.#problem.hidden = false
  }

  show(_known: Known, now: number) {
    if (!this.#frame) return
    const { head, lanes, lanesLeft, eventsLeft } = this.#frame
    setText(this.#heading, `${head.title || 'A call'}${head.isTask ? ' (task)' : ''}`)
    const wakes = head.wakesAt === null ? '' : `, wakes in ${span(Math.max(0, head.wakesAt - now))}`
    setText(this.#status, `${head.status}${wakes}`)
    this.#status.className = `badge tone-${head.tone}`
    setHidden(this.#problem, head.problem === null)
    setText(this.#problem, head.problem ?? '')
    for (const [name, text] of facts) setText(this.#facts.get(name)!, text(head, now))
    this.#showKin(head)
    this.#actions.show(head)
    const { openedAt, endedAt } = head
    const forks = head.actions.includes('fork')
    this.#timeline.show({ lanes, lanesLeft, openedAt, endedAt, forks }, now)
    setHidden(this.#left, eventsLeft === 0)
    setText(this.#left, `${eventsLeft} older events are not shown.`)
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

  #eventsTable(): HTMLElement {
    const heads = ['At', 'Run', 'What'].map((title) => element('th', { scope: 'col' }, title))
    const table = element(
      'table',
      { class: 'events', 'aria-labelledby': 'events' },
      element('thead', {}, element('tr', {}, ...heads)),
      this.#events,
    )
    return element(
      'section',
      { 'aria-labelledby': 'events' },
      element('div', { class: 'heading' }, element('h2', { id: 'events' }, 'Events')),
      this.#left,
      table,
    )
  }
}

function eventRow({ at, run, text, tone, payload }: EventRow, openedAt: number): HTMLElement {
  return element(
    'tr',
    {},
    element('td', { class: 'right' }, `+${span(Math.max(0, at - openedAt))}`),
    element('td', {}, run === 0 ? '' : String(run)),
    element(
      'td',
      { class: 'grows' },
      element('span', { class: `tone-${tone}` }, text),
      payload === '' ? undefined : element('code', {}, payload),
    ),
  )
}
