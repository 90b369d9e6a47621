import { escapeControls } from '@mcp-durable/core/inspect'

const HARMLESS = /^[\w.:/@%+=…-]+$/

/** A word of a command that a person may copy into a shell, whatever is in it. */
export function quoted(word: string): string {
  if (HARMLESS.test(word)) return word
  // Between $' and ' a shell reads the escapes that it will be printed with.
  if (escapeControls(word) !== word) {
    const text = word.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)
    return `$'${escapeControls(text)}'`
  }
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}
