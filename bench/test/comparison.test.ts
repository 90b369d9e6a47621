import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { entries } from '../src/comparison/contenders.js'
import { DOCUMENTS, writtenIn } from '../src/comparison/documents.js'
import { killed } from '../src/comparison/scenes.js'

test('the table of the README is the one that was generated', async () => {
  const [generated, shown] = await Promise.all(DOCUMENTS.map(writtenIn))

  expect(generated).toContain('| server')
  expect(shown).toBe(generated)
})

test('a kill is survived by a durable call, and by none of the SDK’s own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-comparison-test-'))
  const named = new Map(entries({ python: 'none', mcpDb: undefined }).map((entry) => [entry.name, entry]))
  const killedIn = async (name: string, place: string) => {
    const contender = await named.get(name)!.enter()
    const ground = { folder: join(folder, contender.keepsIn), place }
    await mkdir(ground.folder)
    return killed(contender, ground, { steps: 6, delayMs: 300, strikeAfter: 1 })
  }
  const durable = await killedIn('mcp-durable, a file', join(folder, 'mcp.db'))
  const sdk = await killedIn('SDK 1.x, sessions', '')
  await rm(folder, { recursive: true })

  expect(durable.heard).toMatchObject({ text: '6' })
  expect(durable.servedAfter).toBe(true)
  expect(new Set(durable.effects).size).toBe(6)
  // The one that was under way may be done once more, and no other.
  expect(durable.effects.length).toBeLessThanOrEqual(7)
  expect(sdk.heard.lost).toMatch(/session is gone/)
  expect(sdk.servedAfter).toBe(false)
  expect(sdk.effects.length).toBeLessThan(6)
})
