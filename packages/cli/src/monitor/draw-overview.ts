import { styled } from '../show/line.js'
import type { Line } from '../show/line.js'
import { clip, count, padEnd, span, timeOfDay, width } from '../show/text.js'
import { fit, headLine, rowLine } from './columns.js'
import type { ScreenColumn } from './columns.js'
import type { Size } from './screen.js'
import type { Snapshot } from './snapshot.js'
import type { Tables } from './tables.js'
import { selectedIndex } from './view-state.js'
import type { Panel, ViewState, VisibleRows } from './view-state.js'

export type Overview = {
  snapshot: Snapshot
  view: ViewState
  rows: VisibleRows
  tables: Tables
  size: Size
}

/** The head takes so many lines: title, numbers, and a blank one. The foot is drawn by whoever knows the keys. */
const HEAD = 3
const FOOT = 1
/** A table without rows: its title, and a blank line below. */
const FRAME = 2

export function drawOverview(overview: Overview): Line[] {
  const { rows, size } = overview
  const room = size.rows - HEAD - FOOT
  const heights = share(room - 3 * FRAME + 1, [rows.nodes.length, rows.calls.length, rows.sessions.length])
  return [
    ...drawHead(overview),
    ...drawTable(overview, 'nodes', overview.tables.nodes, rows.nodes, heights[0] ?? 0),
    [],
    ...drawTable(overview, 'calls', overview.tables.calls, rows.calls, heights[1] ?? 0),
    [],
    ...drawTable(overview, 'sessions', overview.tables.sessions, rows.sessions, heights[2] ?? 0),
  ]
}

export function titleBar(snapshot: Snapshot, columns: number): Line {
  const left = ` mcp-durable  ${snapshot.where}`
  const right = `${timeOfDay(snapshot.at).slice(0, 8)} `
  const bar = width(left) + width(right) < columns ? padEnd(left, columns - width(right)) + right : left
  return [styled('inverse', padEnd(clip(bar, columns), columns))]
}

function drawHead({ snapshot, size, view }: Overview): Line[] {
  const { rates, nodes, calls, totalSessions, takeovers, problem } = snapshot
  const last = takeovers.at(-1)
  const numbers = [
    count(nodes.filter(({ state }) => state !== 'gone').length, 'node'),
    count(totalSessions, 'session'),
    count(calls.length, 'open call'),
    `${rates.callsPerSecond.toFixed(1)} calls/s`,
    `${rates.recordsPerSecond.toFixed(1)} records/s`,
    count(rates.takeovers, 'takeover') +
      (last ? `, the last ${span(Math.max(0, snapshot.at - last.at))} ago` : ''),
    ...(view.filter === '' ? [] : [`filter: ${view.filter}`]),
  ].join('  ')
  const line =
    problem === undefined
      ? clip(numbers, size.columns)
      : styled('bad', clip(`the store is away: ${problem}`, size.columns))
  return [titleBar(snapshot, size.columns), [line], []]
}

function drawTable<Row extends object>(
  { view, rows: visible, size }: Overview,
  panel: Panel,
  columns: readonly ScreenColumn<Row>[],
  rows: readonly Row[],
  height: number,
): Line[] {
  const focused = view.focus === panel
  const index = selectedIndex(visible, view, panel)
  const shown = Math.max(0, height)
  const from = Math.min(Math.max(0, index - shown + 1), Math.max(0, rows.length - shown))
  const page = rows.slice(from, from + shown)
  const room = size.columns
  const fitted = fit(columns, page, room)
  const { column, reverse } = view.order[panel]
  const hidden = rows.length - page.length
  const more = hidden > 0 ? `  (${hidden} more)` : ''
  const head = clip(headLine(fitted, column ?? '', reverse) + more, room)
  const lines = page.map((row, i) => rowLine(fitted, row, { room, selected: focused && from + i === index }))
  const none =
    rows.length === 0 && shown > 0 ? [[styled('dim', `no ${panel === 'calls' ? 'open calls' : panel}`)]] : []
  return [[styled(focused ? 'bold' : 'dim', head)], ...lines, ...none]
}

/** Shares lines out: each table gets what it needs if that fits, else the smaller ones first. An empty one says so. */
export function share(room: number, needed: readonly number[]): number[] {
  const wants = needed.map((rows) => Math.max(1, rows))
  const shares = wants.map(() => 0)
  let left = Math.max(0, room)
  let open = wants.map((_, i) => i)
  while (open.length > 0 && left > 0) {
    const each = Math.max(1, Math.floor(left / open.length))
    for (const i of open) {
      const more = Math.min(each, (wants[i] ?? 0) - (shares[i] ?? 0), left)
      shares[i] = (shares[i] ?? 0) + more
      left -= more
    }
    open = open.filter((i) => (shares[i] ?? 0) < (wants[i] ?? 0))
  }
  return shares
}
