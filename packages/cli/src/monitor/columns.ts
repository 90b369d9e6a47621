import { styled } from '../show/line.js'
import type { Line, Style } from '../show/line.js'
import { clip, padEnd, padStart, width } from '../show/text.js'

/** A column of a table that must fit a screen. */
export type ScreenColumn<Row> = {
  title: string
  text: (row: Row) => string
  style?: (row: Row) => Style | undefined
  right?: boolean
  /** Columns of the screen that it takes at most. */
  most?: number
  /** The column with the highest number goes first when there is not enough room; 0 always stays. */
  expendable: number
  /** Takes the room that is left. */
  grows?: boolean
  /** It is left out where no row has something in it. */
  rare?: boolean
  /** What rows are ordered by when this column is chosen. */
  sortBy?: (row: Row) => string | number
}

const GAP = '  '

export function fit<Row>(
  columns: readonly ScreenColumn<Row>[],
  rows: readonly Row[],
  room: number,
): { column: ScreenColumn<Row>; width: number }[] {
  const wanted = columns.filter(({ rare, text }) => !rare || rows.some((row) => text(row) !== ''))
  const needed = wanted.map((column) => ({
    column,
    width: Math.min(
      column.most ?? 40,
      Math.max(width(column.title) + 1, ...rows.map((row) => width(column.text(row)))),
    ),
  }))
  const total = () =>
    needed.reduce((sum, { width: columnWidth }) => sum + columnWidth + GAP.length, -GAP.length)
  while (total() > room) {
    const goes = needed.reduce((worst, one) =>
      one.column.expendable > worst.column.expendable ? one : worst,
    )
    if (goes.column.expendable === 0) break
    needed.splice(needed.indexOf(goes), 1)
  }
  const growing = needed.find(({ column }) => column.grows)
  if (growing) growing.width += Math.max(0, room - total())
  return needed
}

/** The head, with a mark at the column that the rows are ordered by. */
export function headLine<Row>(
  fitted: readonly { column: ScreenColumn<Row>; width: number }[],
  sortedBy: string,
  reverse: boolean,
): string {
  return fitted
    .map(({ column, width: columns }) => {
      const title = column.title === sortedBy ? `${column.title}${reverse ? '↑' : '↓'}` : column.title
      return column.right ? padStart(title, columns) : padEnd(title, columns)
    })
    .join(GAP)
}

export function rowLine<Row>(
  fitted: readonly { column: ScreenColumn<Row>; width: number }[],
  row: Row,
  { room, selected }: { room: number; selected: boolean },
): Line {
  const cells = fitted.map(({ column, width: columns }) => {
    const text = clip(column.text(row), columns)
    return column.right ? padStart(text, columns) : padEnd(text, columns)
  })
  if (selected) return [styled('inverse', padEnd(clip(cells.join(GAP), room), room))]
  return fitted.flatMap(({ column }, i) => [i === 0 ? '' : GAP, styled(column.style?.(row), cells[i] ?? '')])
}
