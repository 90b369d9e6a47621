import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

test('every line of code in the README stands in a file that compiles', () => {
  const compiled = new Set(linesOf(read('../src/readme.ts')))
  const blocks = [...read('../../README.md').matchAll(/```ts\n(.*?)```/gs)].map(([, code = '']) => code)
  expect(blocks.length).toBeGreaterThan(2)
  const missing = blocks.flatMap(linesOf).filter((line) => !compiled.has(line) && !isShortImport(line))
  expect(missing).toEqual([])
})

test('every file that the README links to is there', () => {
  const links = [...read('../../README.md').matchAll(/\]\(([^):#]+)\)/g)].map(([, path = '']) => path)
  expect(links.length).toBeGreaterThan(10)
  expect(links.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([])
})

/** The README imports only what matters; the file may import more from the same module. */
function isShortImport(line: string) {
  const [, names = '', module = ''] = /^import \{ (.+) \} from '(.+)'$/.exec(line) ?? []
  const source = read('../src/readme.ts')
  const imported = new RegExp(`import \\{ (.+) \\} from '${module}'`).exec(source)?.[1]?.split(', ') ?? []
  return names !== '' && names.split(', ').every((name) => imported.includes(name))
}

function linesOf(code: string) {
  return code
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
