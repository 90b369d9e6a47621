import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const packages = fileURLToPath(new URL('../..', import.meta.url))
/** As in docs/architecture.md, from the bottom up. */
const LAYERS = ['store', 'context', 'call', 'session', 'http', 'adapters']

test('arrows between layers point down', () => {
  const up = [...importsIn('core')].flatMap(([from, all]) =>
    all.filter((to) => isAbove(to, from)).map((to) => `${from} imports ${to}`),
  )
  expect(up).toEqual([])
})

test.each(readdirSync(packages))('imports have no circles, of types neither: %s', (name) => {
  const imports = importsIn(name)
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
  expect(imports.size).toBeGreaterThan(1)
  expect([...imports.keys()].map((file) => circle(file, [])).find(Boolean)).toBeUndefined()
})

/** What each file of a package imports of it, types too. */
function importsIn(name: string): ReadonlyMap<string, readonly string[]> {
  const src = join(packages, name, 'src')
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return new Map(files.map((file) => [file, importsOf(src, file)]))
}

function importsOf(src: string, file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(/(?:from |import\()'(\.[^']+)\.js'/g)].map(([, path = '']) =>
    relative(src, `${resolve(src, dirname(file), path)}.ts`),
  )
}

function isAbove(one: string, other: string): boolean {
  const [high, low] = [one, other].map((name) => LAYERS.indexOf(name.split('/')[0]!))
  return low! >= 0 && high! > low!
}
