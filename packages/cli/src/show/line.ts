import { escapeControls } from '@mcp-durable/core/inspect'

/** The colours that are used, by what they mean. */
const codes = {
  bold: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  name: [36, 39],
  mark: [35, 39],
  inverse: [7, 27],
} as const

export type Style = keyof typeof codes
export type Styled = { style: Style; text: string }
/** What is going to be a line on the screen: texts, some of them in a style. */
export type Line = ReadonlyArray<string | Styled>

const ESC = '\u001B'

export const styled = (style: Style | undefined, text: string): string | Styled =>
  style === undefined ? text : { style, text }

/** The bytes of a line. Nothing else turns text into what a terminal gets, so no data acts on one. */
export function render(line: Line, { color }: { color: boolean }): string {
  return line.map((part) => renderPart(part, color)).join('')
}

function renderPart(part: string | Styled, color: boolean): string {
  if (typeof part === 'string') return escapeControls(part)
  const text = escapeControls(part.text)
  if (!color || text === '') return text
  const [on, off] = codes[part.style]
  return `${ESC}[${on}m${text}${ESC}[${off}m`
}
