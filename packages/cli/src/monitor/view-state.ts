import type { SessionRow } from '../look/session-rows.js'
import type { ScreenColumn } from './columns.js'
import type { CallRow, NodeRow, Snapshot } from './snapshot.js'
import type { Tables } from './tables.js'

export const panels = ['nodes', 'calls', 'sessions'] as const
export type Panel = (typeof panels)[number]
type Order = { column: string | undefined; reverse: boolean }

/** What a person has chosen: which table, which row, which order, which rows. */
export type ViewState = {
  focus: Panel
  order: Record<Panel, Order>
  /** Id of the row that is chosen in each table. */
  selected: Record<Panel, string | undefined>
  filter: string
}

export const initialView = (): ViewState => ({
  focus: 'sessions',
  order: {
    nodes: { column: undefined, reverse: false },
    calls: { column: 'AGE', reverse: false },
    sessions: { column: undefined, reverse: false },
  },
  selected: { nodes: undefined, calls: undefined, sessions: undefined },
  filter: '',
})

/** The rows that are shown, in their order. */
export type VisibleRows = { nodes: NodeRow[]; calls: CallRow[]; sessions: SessionRow[] }

export function visibleRows(snapshot: Snapshot, view: ViewState, tables: Tables): VisibleRows {
  return {
    nodes: arrange(snapshot.nodes, tables.nodes, view, 'nodes'),
    calls: arrange(snapshot.calls, tables.calls, view, 'calls'),
    sessions: arrange(snapshot.sessions, tables.sessions, view, 'sessions'),
  }
}

function arrange<Row extends object>(
  rows: readonly Row[],
  columns: readonly ScreenColumn<Row>[],
  view: ViewState,
  panel: Panel,
): Row[] {
  const { column, reverse } = view.order[panel]
  const sortBy = columns.find(({ title }) => title === column)?.sortBy
  const found = rows.filter((row) => matches(row, columns, view.filter))
  // Without a column: as they come, which for sessions is the last used first.
  const sorted = sortBy ? found.toSorted((a, b) => compare(sortBy(a), sortBy(b))) : found
  return reverse ? sorted.toReversed() : sorted
}

function matches<Row extends object>(
  row: Row,
  columns: readonly ScreenColumn<Row>[],
  filter: string,
): boolean {
  if (filter === '') return true
  const wanted = filter.toLowerCase()
  const ids = Object.values(row).filter((value) => typeof value === 'string')
  return [...columns.map(({ text }) => text(row)), ...ids].some((text) => text.toLowerCase().includes(wanted))
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a).localeCompare(String(b))
}

export const idOf = {
  nodes: ({ node }: NodeRow) => node,
  calls: ({ callId }: CallRow) => callId,
  sessions: ({ id }: SessionRow) => id,
}

export function idsOf(rows: VisibleRows, panel: Panel): string[] {
  if (panel === 'nodes') return rows.nodes.map(idOf.nodes)
  return panel === 'calls' ? rows.calls.map(idOf.calls) : rows.sessions.map(idOf.sessions)
}

/** Where the chosen row is; the first one if it has gone. */
export function selectedIndex(rows: VisibleRows, view: ViewState, panel: Panel): number {
  return Math.max(0, idsOf(rows, panel).indexOf(view.selected[panel] ?? ''))
}

/** Moves the choice in the table that has the focus. */
export function move(view: ViewState, rows: VisibleRows, by: number): ViewState {
  const ids = idsOf(rows, view.focus)
  const index = Math.min(Math.max(selectedIndex(rows, view, view.focus) + by, 0), Math.max(0, ids.length - 1))
  return { ...view, selected: { ...view.selected, [view.focus]: ids[index] } }
}

/** Goes on to the next column that can order rows, and after the last one to the order in which rows come. */
export function nextOrder(view: ViewState, tables: Tables): ViewState {
  const columns = (tables[view.focus] as readonly ScreenColumn<never>[]).filter(({ sortBy }) => sortBy)
  const titles = [undefined, ...columns.map(({ title }) => title)]
  const { column } = view.order[view.focus]
  const next = titles[(titles.indexOf(column) + 1) % titles.length]
  return { ...view, order: { ...view.order, [view.focus]: { column: next, reverse: false } } }
}

export function reverseOrder(view: ViewState): ViewState {
  const order = view.order[view.focus]
  return { ...view, order: { ...view.order, [view.focus]: { ...order, reverse: !order.reverse } } }
}

export function nextPanel(view: ViewState, by: number): ViewState {
  const index = (panels.indexOf(view.focus) + by + panels.length) % panels.length
  return { ...view, focus: panels[index] ?? 'sessions' }
}
