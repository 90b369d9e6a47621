/** A bar, and a figure beside it. A mark, as for a target, stands across the bar. */
export type Bar = { label: string; value: number; shown: string; own?: boolean; mark?: number }
export type Chart = {
  title: string
  bars: readonly Bar[]
  /** Where the scale ends; more than that is cut off. */ max?: number
}

const WIDTH = 760
const LABEL = 260
const FIGURE = 130
const LINE = 26
const HEAD = 40
const ROOM = WIDTH - LABEL - FIGURE

/** Horizontal bars as SVG, for light and dark pages. */
export function chart({ title, bars, max }: Chart): string {
  const height = HEAD + bars.length * LINE + 8
  const longest = max ?? Math.max(...bars.map(({ value, mark = 0 }) => Math.max(value, mark)))
  const length = (value: number) => Math.round((Math.min(value, longest) / longest) * ROOM)
  const lines = bars.map(({ label, value, shown, own, mark }, index) => {
    const top = HEAD + index * LINE
    const baseline = top + LINE / 2 + 4
    return [
      `<text x="${LABEL - 8}" y="${baseline}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${LABEL}" y="${top + 4}" width="${Math.max(length(value), 1)}" height="${LINE - 8}" rx="2" class="${own ? 'own' : 'peer'}"/>`,
      mark === undefined
        ? ''
        : `<line x1="${LABEL + length(mark)}" x2="${LABEL + length(mark)}" y1="${top}" y2="${top + LINE}"/>`,
      `<text x="${LABEL + ROOM + 8}" y="${baseline}" class="figure">${escaped(shown)}</text>`,
    ].join('')
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}</style>`,
    `<text x="0" y="20" class="title">${escaped(title)}</text>`,
    ...lines,
    '</svg>\n',
  ].join('\n')
}

const STYLE = [
  'text{font:13px system-ui,sans-serif;fill:#1f2937}',
  '.title{font-weight:600;font-size:15px}',
  '.figure{font-variant-numeric:tabular-nums}',
  '.own{fill:#2563eb}.peer{fill:#94a3b8}',
  'line{stroke:#dc2626;stroke-width:2}',
  '@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.own{fill:#60a5fa}.peer{fill:#64748b}line{stroke:#f87171}}',
].join('')

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character)
