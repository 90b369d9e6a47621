/** Sizes in px of a character of the font, and of what is around the text. */
const CHAR = { width: 8, height: 18, size: 13.3 }
const MARGIN = 12

const colors: Record<string, string> = {
  31: '#f2777a',
  32: '#99cc99',
  33: '#ffcc66',
  35: '#cc99cc',
  36: '#66cccc',
}
const ESC = String.fromCodePoint(27)
/** A sequence that sets colours, if there is one, and the text behind it. */
const STYLED = new RegExp(`(?:${ESC}\\[([\\d;]*)m)?([^${ESC}]*)`, 'g')
const TEXT = '#d3d0c8'
const GROUND = '#1f1f1f'

type Style = { color: string; bold: boolean; dim: boolean; inverse: boolean }
const unstyled: Style = { color: TEXT, bold: false, dim: false, inverse: false }

/** A terminal's screen with its colours as a picture. Only the sequences that set colours are understood. */
export function toSvg(screen: string, columns: number): string {
  const lines = screen.replace(/\n+$/, '').split('\n')
  let style = unstyled
  const drawn = lines.map((line, row) => {
    let column = 0
    const parts: string[] = []
    for (const [, codes, text] of line.matchAll(STYLED)) {
      if (codes !== undefined) style = codes.split(';').reduce(applied, style)
      if (text === undefined || text === '') continue
      parts.push(drawText(text, style, { column, row }))
      column += lengthOf(text)
    }
    return parts.join('')
  })
  const width = columns * CHAR.width + 2 * MARGIN
  const height = lines.length * CHAR.height + 2 * MARGIN
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<rect width="100%" height="100%" rx="6" fill="${GROUND}"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${CHAR.size}" style="white-space: pre">`,
    ...drawn.filter((line) => line !== ''),
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

function drawText(text: string, style: Style, { column, row }: { column: number; row: number }): string {
  if (text.trim() === '' && !style.inverse) return ''
  const x = MARGIN + column * CHAR.width
  const y = MARGIN + row * CHAR.height
  const length = lengthOf(text) * CHAR.width
  const ground = style.inverse
    ? `<rect x="${x}" y="${y}" width="${length}" height="${CHAR.height}" fill="${style.color}"/>`
    : ''
  const attributes = [
    `x="${x}"`,
    `y="${y + CHAR.height - 5}"`,
    `fill="${style.inverse ? GROUND : style.color}"`,
    `textLength="${length}"`,
    ...(style.bold ? ['font-weight="bold"'] : []),
    ...(style.dim ? ['opacity="0.6"'] : []),
  ]
  return `${ground}<text ${attributes.join(' ')}>${escaped(text)}</text>`
}

function applied(style: Style, code: string): Style {
  switch (code) {
    case '':
    case '0':
      return unstyled
    case '1':
      return { ...style, bold: true }
    case '2':
      return { ...style, dim: true }
    case '7':
      return { ...style, inverse: true }
    case '22':
      return { ...style, bold: false, dim: false }
    case '27':
      return { ...style, inverse: false }
    case '39':
      return { ...style, color: TEXT }
    default:
      return { ...style, color: colors[code] ?? style.color }
  }
}

const lengthOf = (text: string) => Array.from(text).length
const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
