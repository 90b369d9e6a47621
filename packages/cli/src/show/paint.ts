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
export type Paint = (style: Style, text: string) => string

const ESC = '\u001B'

export function painter(color: boolean): Paint {
  if (!color) return (_style, text) => text
  return (style, text) => {
    const [on, off] = codes[style]
    return text === '' ? '' : `${ESC}[${on}m${text}${ESC}[${off}m`
  }
}
