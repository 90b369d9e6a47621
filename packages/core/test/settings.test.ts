import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parseSettings, SETTINGS } from '../src/settings.js'

// docs/settings.md has every setting in the order, with the default and in the words of settings.ts.

const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8')

test('the docs say of each setting what its docstring says', async () => {
  const source = await read('../src/settings.ts')
  const described = [...source.matchAll(/^ {2}\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n {2}(\w+): /gm)].map(
    ([, text = '', name = '']) => [name, text.replaceAll(/\s+(?:\*\s+)?/g, ' ').trim()],
  )
  expect(described.map(([name]) => name)).toEqual(SETTINGS)

  const defaults: Record<string, unknown> = { ...parseSettings({}), validateEffects: undefined }
  const expected = described.map(([name = '', text]) => [name, shown(name, defaults[name]), text])
  expect(await rows()).toEqual(expected)
})

/** The rows of the table of times and limits. */
async function rows() {
  const [, section = ''] = (await read('../../../docs/settings.md')).split('### Times and limits')
  const table = section.split('\n').filter((line) => line.startsWith('| `'))
  const cells = table.map((line) => line.split('|').map((cell) => cell.trim()))
  return cells
    .map(([, name = '', value, text]) => [name.replaceAll('`', ''), value, text])
    .filter(([name = '']) => SETTINGS.includes(name))
}

function shown(name: string, value: unknown): string {
  if (name === 'validateEffects') return 'not in production'
  if (typeof value === 'boolean') return `\`${value}\``
  if (typeof value !== 'number') return 'none'
  if (name.endsWith('Bytes')) return `${value / 1024 / 1024} MiB`
  if (!name.endsWith('Ms')) return value < 10_000 ? String(value) : value.toLocaleString('en')
  const [unit, ms] = UNITS.find(([, size]) => value % size === 0)!
  return `${value / ms} ${unit}`
}

const UNITS: [unit: string, ms: number][] = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
]
