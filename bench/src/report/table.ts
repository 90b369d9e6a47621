import type { Row } from '../rows.js'
import { figure, ratio, spread, target, verdict } from './format.js'

const HEAD = ['row', 'what', 'measured', 'against', 'peer', 'ratio', 'rounds', 'target', 'reached']

/** The rows as text in columns. */
export function table(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)]
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  const line = (texts: readonly string[]) =>
    texts
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  const [head, ...body] = cells
  return [line(head!), line(widths.map((width) => '─'.repeat(width))), ...body.map(line)].join('\n')
}

function cellsOf(row: Row): string[] {
  const what = row.what.replaceAll('`', '')
  const { value, peer, unit } = row
  return [
    row.name,
    what,
    figure(value, unit),
    row.against.replaceAll('`', ''),
    figure(peer, unit),
    ratio(row.ratio),
    spread(row),
    target(row.target),
    verdict(row),
  ]
}
