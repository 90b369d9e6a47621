import { afterEach, expect, test, vi } from 'vitest'
import { escapeControls } from '../src/escape-controls.js'
import { consoleLogger } from '../src/logger.js'

afterEach(() => vi.restoreAllMocks())

const NASTY = '\u001B]0;t\u0007\r\n[mcp-durable] error: made up \u009B2J\u202E\u200B\uD800\u{E0041}'

test('one line of the log begins with its name, whatever is in it', () => {
  const lines: string[] = []
  vi.spyOn(console, 'error').mockImplementation((line: string) => void lines.push(line))
  const error = new Error(NASTY)
  consoleLogger.error({ tool: NASTY, error, more: { [NASTY]: NASTY }, none: undefined }, NASTY)
  const written = lines.join('\n')
  expect(written).toContain('made up')
  expect(written.match(/^\[mcp-durable\]/gm)).toHaveLength(1)
  expect(written.replaceAll('\n', '')).not.toMatch(/\p{C}|\p{Zl}|\p{Zp}/u)
  // The frames of the stack have lines of their own.
  expect(written).toMatch(/^ {4}at .*logger\.test\.ts/m)
})

test('JSON stays the same JSON, and twice is as once', () => {
  const value = { [NASTY]: [NASTY, 1, null] }
  const escaped = escapeControls(JSON.stringify(value))
  expect(JSON.parse(escaped)).toEqual(value)
  expect(escapeControls(escaped)).toBe(escaped)
  expect(escapeControls('naïve 漢字 🍣 \u{1F468}')).toBe('naïve 漢字 🍣 \u{1F468}')
})
