import { afterEach, expect, test, vi } from 'vitest'
import { escapeControls } from '../src/escape-controls.js'
import { consoleLogger, unfailing } from '../src/logger.js'
import { ODD } from './support/odd.js'

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

test.each(Object.entries(ODD))('%s has a text, whoever throws it', (_what, make) => {
  const lines: string[] = []
  vi.spyOn(console, 'warn').mockImplementation((line: string) => void lines.push(line))
  consoleLogger.warn({ error: make(), after: 1 }, 'a step failed')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^\[mcp-durable\] warn: a step failed error=[^]+ after=1$/)
})

test('what is no JSON is shown', () => {
  const lines: string[] = []
  vi.spyOn(console, 'warn').mockImplementation((line: string) => void lines.push(line))
  consoleLogger.warn({ error: 10n, cycle: ODD['a cycle']!() }, 'm')
  expect(lines[0]).toContain('error=10n cycle=<ref *1> { again: [Circular *1] }')
})

const full = new Error('the log is full')
const FAILING: Record<'throws' | 'rejects', () => unknown> = {
  throws: () => {
    throw full
  },
  rejects: async () => {
    throw full
  },
}

test.each(Object.entries(FAILING))(
  'a logger that %s fails nothing, and its line is written',
  async (_how, fail) => {
    const lines: string[] = []
    vi.spyOn(console, 'error').mockImplementation((line: string) => void lines.push(line))
    const logger = unfailing({ ...consoleLogger, warn: fail })
    logger.warn({ call: 'c' }, 'a step failed')
    await vi.waitFor(() => expect(lines).toHaveLength(1))
    expect(lines[0]).toMatch(/a step failed \(the logger has failed\) call=c logger=Error: the log is full/)
  },
)

test('nor does one that fails where standard error does, too', () => {
  vi.spyOn(console, 'error').mockImplementation(FAILING.throws)
  const logger = unfailing({ ...consoleLogger, info: FAILING.throws })
  expect(() => logger.error({}, 'one')).not.toThrow()
  expect(() => logger.info({}, 'two')).not.toThrow()
})

test('the methods of a logger may be others later', () => {
  const said: string[] = []
  const own = { ...consoleLogger }
  const logger = unfailing(own)
  own.debug = (_fields, message) => void said.push(message)
  logger.debug({}, 'now on')
  expect(said).toEqual(['now on'])
})
