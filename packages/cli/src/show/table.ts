import { styled } from './line.js'
import type { Line, Style } from './line.js'
import { clip, padEnd, padStart, width } from './text.js'

export type Column<Row> = {
  title: string
  text: (row: Row) => string
  style?: (row: Row) => Style | undefined
  right?: boolean
  /** Columns of the screen that it may take at most. */
  most?: number
}

/** Columns as wide as their longest cell. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Line[] {
  const titles = columns.map(({ title }) => title)
  const cells = rows.map((row) => columns.map(({ text, most = 60 }) => clip(text(row), most)))
  const widths = columns.map((_, i) =>
    [titles, ...cells].reduce((most, row) => Math.max(most, width(row[i] ?? '')), 0),
  )
  const align = (row: readonly string[]) => {
    // Nothing follows the last cell that has something in it, so nothing need fill it.
    const last = row.findLastIndex((text) => text !== '')
    return row.slice(0, last + 1).map((text, i) => {
      if (columns[i]?.right) return padStart(text, widths[i] ?? 0)
      return i === last ? text : padEnd(text, widths[i] ?? 0)
    })
  }
  const gaps = (parts: Line): Line => parts.flatMap((part, i) => (i === 0 ? [part] : ['  ', part]))
  return [
    [styled('dim', align(titles).join('  '))],
    ...rows.map((row, r) =>
      gaps(align(cells[r] ?? []).map((text, i) => styled(columns[i]?.style?.(row), text))),
    ),
  ]
}
