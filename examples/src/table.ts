import { escapeControls } from '@mcp-durable/core/inspect'

/** Columns as wide as their longest cell; columns named in `right` are aligned to the right. */
export function formatTable(
  head: readonly string[],
  data: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const rows = data.map((row) => row.map(escapeControls))
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]): string =>
    head
      .map((name, column) => {
        const cell = row[column] ?? ''
        const width = widths[column]!
        return right.includes(name) ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}
