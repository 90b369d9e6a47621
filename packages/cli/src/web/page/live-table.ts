import type { Tone } from '../wire.js'
import { element, setChildren, setClass, setHidden, setText } from './dom.js'

export type Column<Row> = {
  title: string
  text: (row: Row, now: number) => string
  /** Where its text leads to. */
  link?: (row: Row) => string | undefined
  tone?: (row: Row) => Tone
  right?: boolean
  /** Is left out where no row has something in it. */
  rare?: boolean
  /** Goes where there is little room. */
  wide?: boolean
  /** Is cut where there is little room. */
  shrinks?: boolean
  /** Takes the room that is left. */
  grows?: boolean
  sort: (row: Row) => string | number
}

type Order = { column: number; descends: boolean }
type Line = { row: HTMLTableRowElement; cells: HTMLElement[] }

/** A table whose rows stay where they are while what is in them changes. */
export class LiveTable<Row> {
  readonly element: HTMLElement
  readonly #columns: readonly Column<Row>[]
  readonly #key: (row: Row) => string
  readonly #body = element('tbody')
  readonly #heads: HTMLElement[]
  readonly #none: HTMLElement
  /** What is said where there is nothing. */
  readonly #empty: string
  readonly #count = element('span', { class: 'count' })
  readonly #scroll: HTMLElement
  readonly #lines = new Map<string, Line>()
  /** By column, whether it is left out. */
  #left: readonly boolean[] = []
  #order: Order | undefined
  #rows: readonly Row[] = []
  #now = 0
  #total = 0

  constructor(options: {
    title: string
    none: string
    columns: readonly Column<Row>[]
    key: (row: Row) => string
  }) {
    const { title, none, columns, key } = options
    this.#columns = columns
    this.#key = key
    this.#heads = columns.map((column, index) => this.#head(column, index))
    const id = `table-${title.toLowerCase().replaceAll(' ', '-')}`
    const head = element('thead', {}, element('tr', {}, ...this.#heads))
    const table = element('table', { 'aria-labelledby': id }, head, this.#body)
    this.#empty = none
    this.#none = element('p', { class: 'none' })
    this.#scroll = element('div', { class: 'scroll' }, table)
    const heading = element('h2', { id }, title)
    this.element = element(
      'section',
      { 'aria-labelledby': id },
      element('div', { class: 'heading' }, heading, this.#count),
      this.#scroll,
      this.#none,
    )
  }

  /** `total`: how many there are, where not all are sent. */
  show(rows: readonly Row[], now: number, total = rows.length) {
    this.#rows = rows
    this.#total = total
    this.#now = now
    const shown = this.#ordered(rows)
    this.#left = this.#columns.map(
      ({ rare = false, text }) => rare && rows.every((row) => text(row, now) === ''),
    )
    for (const [index, head] of this.#heads.entries()) setHidden(head, this.#left[index] === true)
    const keys = new Set(rows.map(this.#key))
    for (const known of this.#lines.keys()) if (!keys.has(known)) this.#lines.delete(known)
    setChildren(
      this.#body,
      shown.map((row) => this.#fill(row)),
    )
    setHidden(this.#none, rows.length > 0)
    setText(this.#none, total > 0 ? 'None of them has that in it.' : this.#empty)
    setHidden(this.#scroll, rows.length === 0)
    const count = total > rows.length ? `${rows.length} of ${total}` : String(rows.length)
    setText(this.#count, total === 0 ? '' : count)
  }

  #ordered(rows: readonly Row[]): readonly Row[] {
    const order = this.#order
    const sort = order && this.#columns[order.column]?.sort
    if (!sort) return rows
    const sign = order.descends ? -1 : 1
    return rows.toSorted((a, b) => sign * compare(sort(a), sort(b)))
  }

  #fill(row: Row): HTMLTableRowElement {
    const key = this.#key(row)
    const line = this.#lines.get(key) ?? this.#make(row)
    this.#lines.set(key, line)
    for (const [index, column] of this.#columns.entries()) {
      const cell = line.cells[index]!
      setHidden(cell.parentElement!, this.#left[index] === true)
      setText(cell, column.text(row, this.#now))
      setClass(cell, column.tone ? `tone-${column.tone(row)}` : '')
      if (cell instanceof HTMLAnchorElement) cell.setAttribute('href', column.link?.(row) ?? '')
    }
    return line.row
  }

  #make(row: Row): Line {
    const cells = this.#columns.map((column) => element(column.link?.(row) === undefined ? 'span' : 'a'))
    const tds = cells.map((cell, index) => element('td', { class: classOf(this.#columns[index]!) }, cell))
    return { row: element('tr', {}, ...tds), cells }
  }

  #head(column: Column<Row>, index: number): HTMLElement {
    const button = element('button', { type: 'button' }, column.title)
    button.addEventListener('click', () => this.#sortBy(index))
    return element('th', { scope: 'col', class: classOf(column) }, button)
  }

  /** Up, down, and then as it came. */
  #sortBy(column: number) {
    const before = this.#order?.column === column ? this.#order : undefined
    this.#order = before?.descends ? undefined : { column, descends: before !== undefined }
    for (const [index, head] of this.#heads.entries()) {
      const isSorted = this.#order?.column === index
      if (isSorted) head.setAttribute('aria-sort', this.#order?.descends ? 'descending' : 'ascending')
      else head.removeAttribute('aria-sort')
    }
    this.show(this.#rows, this.#now, this.#total)
  }
}

const classOf = <Row>({ right, wide, shrinks, grows }: Column<Row>) =>
  [right && 'right', wide && 'wide', shrinks && 'shrinks', grows && 'grows'].filter(Boolean).join(' ') ||
  undefined

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a).localeCompare(String(b))
}
