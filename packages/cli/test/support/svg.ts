import { width } from '../../src/show/text.js'

/** Sizes in px of a character of the font, and of what is around the text. */
export const CHAR = { width: 8, height: 18, size: 13.3 }
export const MARGIN = 12

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
/** Words with one space between them: what no renderer draws in another way. */
const PIECE = /\S+(?: \S+)*/g
const TEXT = '#d3d0c8'
const GROUND = '#1f1f1f'

type Style = { color: string; bold: boolean; dim: boolean; inverse: boolean }
const unstyled: Style = { color: TEXT, bold: false, dim: false, inverse: false }

/**
 * A terminal's screen with its colours as a picture. Only the sequences that set colours are understood. Every piece of
 * text says where it stands, because renderers differ in what they make of spaces; `desc` holds the plain screen.
 */
export function toSvg(screen: string, columns: number): string {
  const lines = screen.replace(/\n+$/, '').split('\n')
  let style = unstyled
  const drawn = lines.map((line, row) => {
    let column = 0
    const parts: string[] = []
    for (const [, codes, text] of line.matchAll(STYLED)) {
      if (codes !== undefined) style = codes.split(';').reduce(applied, style)
      if (text === undefined || text === '') continue
      if (style.inverse) parts.push(drawGround(text, style, { column, row }))
      for (const { 0: piece, index } of text.matchAll(PIECE)) {
        parts.push(drawText(piece, style, { column: column + width(text.slice(0, index)), row }))
      }
      column += width(text)
    }
    return parts.join('')
  })
  const size = { x: columns * CHAR.width + 2 * MARGIN, y: lines.length * CHAR.height + 2 * MARGIN }
  const plain = lines.map((line) => line.replaceAll(STYLED, '$2').trimEnd()).join('\n')
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.x} ${size.y}" width="${size.x}" height="${size.y}" role="img">`,
    `<desc>${escaped(plain)}</desc>`,
    `<rect width="100%" height="100%" rx="6" fill="${GROUND}"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${CHAR.size}">`,
    ...drawn.filter((line) => line !== ''),
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

type Place = { column: number; row: number }
const left = ({ column }: Place) => MARGIN + column * CHAR.width
const top = ({ row }: Place) => MARGIN + row * CHAR.height

function drawGround(text: string, { color }: Style, at: Place): string {
  return `<rect x="${left(at)}" y="${top(at)}" width="${width(text) * CHAR.width}" height="${CHAR.height}" fill="${color}"/>`
}

function drawText(text: string, style: Style, at: Place): string {
  const attributes = [
    `x="${left(at)}"`,
    `y="${top(at) + CHAR.height - 5}"`,
    `fill="${style.inverse ? GROUND : style.color}"`,
    `textLength="${width(text) * CHAR.width}"`,
    ...(style.bold ? ['font-weight="bold"'] : []),
    ...(style.dim ? ['opacity="0.6"'] : []),
  ]
  return `<text ${attributes.join(' ')}>${escaped(text)}</text>`
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

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
