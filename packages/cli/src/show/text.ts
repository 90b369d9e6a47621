import { escapeControls } from '@mcp-durable/core/inspect'
import stringWidth from 'string-width'

export { span } from './span.js'

const segmenter = new Intl.Segmenter()

/** Columns that it takes, as it will be written. */
export const width = (text: string) => stringWidth(escapeControls(text))

/** Shortened to so many columns, with an ellipsis where something is missing. */
export function clip(given: string, columns: number): string {
  const text = escapeControls(given)
  if (width(text) <= columns) return text
  if (columns <= 0) return ''
  let clipped = ''
  let used = 0
  for (const { segment } of segmenter.segment(text)) {
    const next = width(segment)
    if (used + next > columns - 1) break
    clipped += segment
    used += next
  }
  return `${clipped}…`
}

export const padEnd = (text: string, columns: number) => text + ' '.repeat(Math.max(0, columns - width(text)))
export const padStart = (text: string, columns: number) =>
  ' '.repeat(Math.max(0, columns - width(text))) + text

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`
  if (count < 1024 ** 2) return `${(count / 1024).toFixed(1)} KiB`
  if (count < 1024 ** 3) return `${(count / 1024 ** 2).toFixed(1)} MiB`
  return `${(count / 1024 ** 3).toFixed(1)} GiB`
}

export const count = (number: number, one: string, many = `${one}s`) =>
  `${number} ${number === 1 ? one : many}`

/** Local time of day. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms)
  const part = (number: number, digits = 2) => String(number).padStart(digits, '0')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((number) => part(number)).join(':')
  return `${time}.${part(date.getMilliseconds(), 3)}`
}
