import type { Paint, Style } from './paint.js'
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
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint,
): string[] {
  const cells = rows.map((row) => columns.map(({ text, most = 60 }) => clip(text(row), most)))
  const widths = columns.map(({ title }, i) =>
    Math.max(width(title), ...cells.map((row) => width(row[i] ?? ''))),
  )
  const align = (text: string, i: number) => {
    const pad = columns[i]?.right ? padStart : padEnd
    // Nothing follows the last column, so nothing need fill it.
    return i === columns.length - 1 && !columns[i]?.right ? text : pad(text, widths[i] ?? 0)
  }
  const head = columns.map(({ title }, i) => align(title, i)).join('  ')
  const lines = rows.map((row, r) =>
    columns
      .map(({ style }, i) => {
        const text = align(cells[r]?.[i] ?? '', i)
        const chosen = style?.(row)
        return chosen ? paint(chosen, text) : text
      })
      .join('  ')
      .trimEnd(),
  )
  return [paint('dim', head.trimEnd()), ...lines]
}
