import { span } from '../../show/span.js'
import type { Bar, Lane, Mark } from '../wire.js'
import { element, setChildren, setText } from './dom.js'
import { Scale } from './scale.js'

const kinds: Record<Lane['kind'], string> = {
  run: 'owner',
  step: 'step',
  question: 'question',
  message: 'messages',
}

/** What a label of the axis takes. */
const LABEL_PX = 64

type Row = {
  row: HTMLTableRowElement
  when: HTMLElement
  took: HTMLElement
  track: HTMLElement
  fork: HTMLButtonElement
}
export type Shown = {
  lanes: readonly Lane[]
  lanesLeft: number
  openedAt: number
  endedAt: number | null
  /** The lanes that may be forked from have a button. */
  forks: boolean
}

/** The bars of a call, a row each; what they show is told in words too. */
export class Timeline {
  readonly element: HTMLElement
  readonly #axis = element('div', { class: 'axis' })
  readonly #body = element('tbody')
  readonly #left = element('p', { class: 'none', hidden: true })
  readonly #fork: (lane: Lane) => void
  readonly #rows = new Map<string, Row>()
  #drawn = ''

  constructor(fork: (lane: Lane) => void) {
    this.#fork = fork
    const head = element(
      'tr',
      {},
      element('th', { scope: 'col' }, 'What'),
      element('th', { scope: 'col', class: 'right wide' }, 'From'),
      element('th', { scope: 'col', class: 'right' }, 'Took'),
      element('th', { scope: 'col', class: 'track', 'aria-label': 'Drawn' }, this.#axis),
    )
    const table = element(
      'table',
      { class: 'timeline', 'aria-labelledby': 'timeline' },
      element('thead', {}, head),
      this.#body,
    )
    this.element = element(
      'section',
      { 'aria-labelledby': 'timeline' },
      element('div', { class: 'heading' }, element('h2', { id: 'timeline' }, 'Timeline')),
      table,
      this.#left,
    )
  }

  show({ lanes, lanesLeft, openedAt, endedAt, forks }: Shown, now: number) {
    const drawn = JSON.stringify([lanes, forks, endedAt ?? now, this.#axis.clientWidth])
    if (drawn === this.#drawn) return
    this.#drawn = drawn
    const end = endedAt ?? now
    const near = (100 * LABEL_PX) / Math.max(LABEL_PX, this.#axis.clientWidth)
    const scale = new Scale(lanes, { from: openedAt, to: end, near })
    this.#drawAxis(scale)
    const rows = lanes.map((lane) => {
      const key = keyOf(lane, lanes)
      const row = this.#rows.get(key) ?? this.#make(lane)
      this.#rows.set(key, row)
      row.fork.hidden = !forks || lane.step === null
      this.#draw(row, lane, { scale, openedAt, end })
      return row.row
    })
    setChildren(this.#body, rows)
    this.#left.hidden = lanesLeft === 0
    setText(this.#left, `… and ${lanesLeft} more, below as events`)
  }

  #drawAxis({ ticks, breaks }: Scale) {
    const labels = ticks.map(({ at, text }) => placed(element('span', { class: 'tick' }, text), at))
    const cuts = breaks.map(({ from, to, text }) =>
      placed(element('span', { class: 'cut', title: `${text}, drawn shorter` }), from, to),
    )
    this.#axis.replaceChildren(...cuts, ...labels)
  }

  #make(lane: Lane): Row {
    const when = element('td', { class: 'right wide' })
    const took = element('td', { class: 'right' })
    const track = element('div', { class: 'bars' })
    const name = element('div', { class: 'lane' })
    name.append(
      element('span', { class: 'kind' }, kinds[lane.kind]),
      element('span', { class: 'name' }, lane.kind === 'run' || lane.kind === 'message' ? '' : lane.name),
    )
    const label = `Fork from ${lane.name}`
    const fork = element('button', { type: 'button', class: 'fork', 'aria-label': label }, 'Fork')
    fork.addEventListener('click', () => this.#fork(lane))
    name.append(fork)
    const row = element(
      'tr',
      {},
      element('th', { scope: 'row' }, name),
      when,
      took,
      element('td', { class: 'track' }, track),
    )
    return { row, when, took, track, fork }
  }

  #draw(row: Row, lane: Lane, { scale, openedAt, end }: { scale: Scale; openedAt: number; end: number }) {
    const { bars, marks } = lane
    const from = Math.min(...bars.map((bar) => bar.from), ...marks.map(({ at }) => at))
    setText(row.when, `+${span(Math.max(0, from - openedAt))}`)
    setText(row.took, tookOf(lane, end))
    const words = [
      ...bars.map((bar) => barText(bar, openedAt, end)),
      ...marks.map((mark) => markText(mark, openedAt)),
    ]
    row.track.replaceChildren(
      ...scale.breaks.map((each) => placed(element('span', { class: 'cut' }), each.from, each.to)),
      ...bars.map((bar) => drawBar(bar, scale, openedAt, end)),
      ...marks.map((mark) => drawMark(mark, scale, openedAt)),
      element('span', { class: 'unseen' }, words.join('; ')),
    )
  }
}

function drawBar(bar: Bar, scale: Scale, openedAt: number, end: number): HTMLElement {
  const { from, to, tone, text } = bar
  const open = to === null ? ' open' : ''
  const title = barText(bar, openedAt, end)
  const made = element(
    'span',
    { class: `bar tone-${tone}${open}`, title, 'aria-hidden': 'true' },
    element('span', {}, text),
  )
  return placed(made, scale.at(from), scale.at(to ?? end))
}

function drawMark(mark: Mark, scale: Scale, openedAt: number): HTMLElement {
  const title = markText(mark, openedAt)
  return placed(
    element('span', { class: `mark tone-${mark.tone}`, title, 'aria-hidden': 'true' }),
    scale.at(mark.at),
  )
}

function placed(of: HTMLElement, from: number, to?: number): HTMLElement {
  of.style.left = `${from.toFixed(3)}%`
  if (to !== undefined) of.style.width = `${Math.max(0, to - from).toFixed(3)}%`
  return of
}

const barText = ({ from, to, text }: Bar, openedAt: number, end: number) =>
  `${text}: +${span(from - openedAt)}, ${span(Math.max(0, (to ?? end) - from))}${to === null ? ' so far' : ''}`
const markText = ({ at, text }: Mark, openedAt: number) => `${text}: +${span(at - openedAt)}`

function tookOf({ kind, bars, marks, left }: Lane, end: number): string {
  if (kind === 'message') return `${marks.length + left} ×`
  if (bars.length === 0) return '–'
  const ms = Math.max(...bars.map(({ to }) => to ?? end)) - Math.min(...bars.map(({ from }) => from))
  return span(Math.max(0, ms))
}

/** A question may get the name of its step later. */
const keyOf = (lane: Lane, lanes: readonly Lane[]) =>
  JSON.stringify([lane.kind, lane.name, lane.step, lane.step === null ? lanes.indexOf(lane) : 0])
