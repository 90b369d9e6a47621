import type { Tone } from '../wire.js'
import { element, setHidden, setText } from './dom.js'

const KEPT = 2000

export type Fact<Head> = [name: string, text: (head: Head, now: number) => string]
/** `of`: what in it the event belongs to. */
export type EventCells = { at: string; of: string | Node; text: string; tone: Tone; payload: string }
type Heading = { title: string; status: string; eventsLeft: number }

/** The page of one thing: what is known of it, what belongs to it, and its events in their order. */
export class Detail<Head extends { tone: Tone; problem: string | null }> {
  readonly element: HTMLElement
  readonly #heading: HTMLElement
  readonly #status = element('p', { class: 'badge', role: 'status' })
  readonly #problem = element('p', { class: 'problem', role: 'alert', hidden: true })
  readonly #facts: ReadonlyArray<{ text: Fact<Head>[1]; cell: HTMLElement }>
  readonly #events = element('tbody')
  readonly #left = element('p', { class: 'none', hidden: true })
  readonly #body: HTMLElement

  /** `of`: the head of the second column of its events. */
  constructor(title: string, of: string, facts: readonly Fact<Head>[], parts: readonly HTMLElement[]) {
    this.#heading = element('h1', { tabindex: '-1' }, title)
    this.#facts = facts.map(([, text]) => ({ text, cell: element('dd') }))
    const list = element('dl', { class: 'facts' })
    for (const [index, [name]] of facts.entries())
      list.append(element('div', {}, element('dt', {}, name), this.#facts[index]!.cell))
    this.#body = element('div', { class: 'view' }, list, ...parts, this.#eventsTable(of))
    this.#body.hidden = true
    this.element = element(
      'div',
      { class: 'view' },
      element('div', { class: 'title' }, this.#heading, this.#status),
      this.#problem,
      this.#body,
    )
  }

  /** `first`: those before are not of this connection. */
  hear(events: readonly EventCells[], first: boolean) {
    if (first) this.#events.replaceChildren()
    this.#events.append(...events.map(eventRow))
    while (this.#events.children.length > KEPT) this.#events.firstElementChild?.remove()
    this.#body.hidden = false
  }

  refused(text: string) {
    setText(this.#problem, text)
    this.#problem.hidden = false
  }

  show(head: Head, now: number, { title, status, eventsLeft }: Heading) {
    setText(this.#heading, title)
    setText(this.#status, status)
    this.#status.className = `badge tone-${head.tone}`
    setHidden(this.#problem, head.problem === null)
    setText(this.#problem, head.problem ?? '')
    for (const { text, cell } of this.#facts) setText(cell, text(head, now))
    setHidden(this.#left, eventsLeft === 0)
    setText(this.#left, `${eventsLeft} older events are not shown.`)
  }

  #eventsTable(of: string): HTMLElement {
    const heads = ['At', of, 'What'].map((title) => element('th', { scope: 'col' }, title))
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

function eventRow({ at, of, text, tone, payload }: EventCells): HTMLElement {
  return element(
    'tr',
    {},
    element('td', { class: 'right' }, at),
    element('td', {}, of),
    element(
      'td',
      { class: 'grows' },
      element('span', { class: `tone-${tone}` }, text),
      payload === '' ? undefined : element('code', {}, payload),
    ),
  )
}
