import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { requirements } from './requirements.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const skipped = new Set(['node_modules', 'dist', '.git'])
const cited = await citations(root)

test('every requirement is cited by a test', () => {
  const uncited = Object.entries(requirements).filter(([id]) => !cited.has(id))
  expect(uncited.map(([id, { text, source }]) => `${id}: ${text} (${source})`)).toEqual([])
})

test('every citation names a requirement', () => {
  expect([...cited].filter((id) => !(id in requirements))).toEqual([])
})

/** Ids in brackets in the test files of the whole repository. */
async function citations(folder: string): Promise<Set<string>> {
  const found = new Set<string>()
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (skipped.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) for (const id of await citations(path)) found.add(id)
    if (!entry.name.endsWith('.test.ts')) continue
    const text = await readFile(path, 'utf8')
    for (const [, id] of text.matchAll(/\[([A-Z]-\d+)\]/g)) found.add(id!)
  }
  return found
}
