import { span } from '../../show/span.js'
import type { SessionCallRow, SessionEventRow, SessionFrame, SessionHead } from '../wire.js'
import { clockOf, element, setHidden, setText } from './dom.js'
import { LiveTable } from './live-table.js'
import type { Column } from './live-table.js'
import { callLink } from './view.js'
import type { Followed, Known, View } from './view.js'

const KEPT = 2000

type Fact = [name: string, text: (head: SessionHead, now: number) => string]
const facts: Fact[] = [
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

const callColumns: Column<SessionCallRow>[] = [
  { title: 'Call', text: ({ id }) => id, link: ({ call }) => callLink(call), sort: ({ id }) => id },
  {
    title: 'What',
    text: ({ title, isTask }) => `${title}${isTask ? ' (task)' : ''}`,
    grows: true,
    sort: ({ title }) => title,
  },
  { title: 'Status', text: ({ status }) => status, tone: ({ tone }) => tone, sort: ({ status }) => status },
  {
    title: 'Age',
    text: ({ openedAt }, now) => span(Math.max(0, now - openedAt)),
    right: true,
    sort: ({ openedAt }) => -openedAt,
  },
  {
    title: 'Took',
    text: ({ openedAt, endedAt }) => (endedAt === null ? '–' : span(endedAt - openedAt)),
    right: true,
    wide: true,
    sort: ({ openedAt, endedAt }) => (endedAt ?? Number.MAX_SAFE_INTEGER) - openedAt,
  },
  { title: 'Owner', text: ({ owner }) => owner || '–', wide: true, sort: ({ owner }) => owner },
  {
    title: 'Run',
    text: ({ attempt }) => String(attempt),
    tone: ({ attempt }) => (attempt > 1 ? 'mark' : 'plain'),
    right: true,
    wide: true,
    sort: ({ attempt }) => attempt,
  },
]

/** One session: whose it is, its calls and streams, and what happened in it, in order. */
export class SessionView implements View {
  readonly title = 'Session'
  readonly element: HTMLElement
  readonly follows: Followed
  readonly #heading = element('h1', { tabindex: '-1' }, 'Session')
  readonly #status = element('p', { class: 'badge', role: 'status' })
  readonly #problem = element('p', { class: 'problem', role: 'alert', hidden: true })
  readonly #facts = new Map(facts.map(([name]) => [name, element('dd')]))
  readonly #calls = new LiveTable({
    title: 'Calls',
    none: 'No call is kept of it.',
    columns: callColumns,
    key: ({ call }: SessionCallRow) => call,
  })
  readonly #events = element('tbody')
  readonly #left = element('p', { class: 'none', hidden: true })
  readonly #body: HTMLElement
  #frame: SessionFrame | undefined

  constructor(session: string) {
    this.follows = { kind: 'session', name: session }
    const list = element('dl', { class: 'facts' })
    for (const [name, fact] of this.#facts) list.append(element('div', {}, element('dt', {}, name), fact))
    this.#body = element('div', { class: 'view' }, list, this.#calls.element, this.#eventsTable())
    this.#body.hidden = true
    this.element = element(
      'div',
      { class: 'view' },
      element('div', { class: 'title' }, this.#heading, this.#status),
      this.#problem,
      this.#body,
    )
  }

  hearSession(frame: SessionFrame) {
    if (frame.first) this.#events.replaceChildren()
    this.#events.append(...frame.events.map(eventRow))
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
    const { head, eventsLeft } = this.#frame
    setText(this.#heading, `Session ${head.id}`)
    setText(this.#status, head.status)
    this.#status.className = `badge tone-${head.tone}`
    setHidden(this.#problem, head.problem === null)
    setText(this.#problem, head.problem ?? '')
    for (const [name, text] of facts) setText(this.#facts.get(name)!, text(head, now))
    this.#calls.show(head.calls, now, head.calls.length + head.callsLeft)
    setHidden(this.#left, eventsLeft === 0)
    setText(this.#left, `${eventsLeft} older events are not shown.`)
  }

  #eventsTable(): HTMLElement {
    const heads = ['At', 'Of', 'What'].map((title) => element('th', { scope: 'col' }, title))
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

function eventRow({ at, source, call, text, tone, payload }: SessionEventRow): HTMLElement {
  return element(
    'tr',
    {},
    element('td', { class: 'right' }, clockOf(at)),
    element('td', {}, call === '' ? source : element('a', { href: callLink(call) }, source)),
    element(
      'td',
      { class: 'grows' },
      element('span', { class: `tone-${tone}` }, text),
      payload === '' ? undefined : element('code', {}, payload),
    ),
  )
}
