import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
/** What each file imports of this package, types too. */
const imports = new Map(files.map((name) => [name, importsOf(name)]))
/** As in docs/architecture.md, from the bottom up. */
const LAYERS = ['store', 'context', 'call', 'session', 'http', 'adapters']

test('arrows between layers point down', () => {
  const up = [...imports].flatMap(([from, all]) =>
    all.filter((to) => isAbove(to, from)).map((to) => `${from} imports ${to}`),
  )
  expect(up).toEqual([])
})

test('imports have no circles, of types neither', () => {
  const done = new Set<string>()
  const circle = (file: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of imports.get(file) ?? []) {
      const found = circle(next, [...way, file])
      if (found) return found
    }
    done.add(file)
    return undefined
  }
  expect(files.map((file) => circle(file, [])).find(Boolean)).toBeUndefined()
})

function importsOf(name: string): string[] {
  const text = readFileSync(join(src, name), 'utf8')
  return [...text.matchAll(/from '(\.[^']+)\.js'/g)].map(([, path = '']) =>
    relative(src, `${resolve(src, dirname(name), path)}.ts`),
  )
}

function isAbove(one: string, other: string): boolean {
  const [high, low] = [one, other].map((name) => LAYERS.indexOf(dirname(name)))
  return low! >= 0 && high! > low!
}
