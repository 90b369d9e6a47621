import type { Row } from '../rows.js'
import { figure, ratio, spread, target, verdict } from './format.js'

const HEAD = ['row', 'measured', 'peer', 'ratio', 'rounds', 'target', 'reached']

/** The rows as text in columns; below each, what was measured beside what. */
export function table(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)]
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  const line = (texts: readonly string[]) =>
    texts
      .map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)))
      .join('  ')
  const [head, ...body] = cells
  const below = rows.map(({ what, against }) => `  ${what}, beside ${against}`.replaceAll('`', ''))
  return [
    line(head!),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...body.flatMap((texts, index) => [line(texts), below[index]!]),
  ].join('\n')
}

function cellsOf(row: Row): string[] {
  const { value, peer, unit } = row
  return [
    row.name,
    figure(value, unit),
    figure(peer, unit),
    ratio(row.ratio),
    spread(row),
    target(row.target),
    verdict(row),
  ]
}
