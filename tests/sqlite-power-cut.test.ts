import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteStore } from '@mcp-durable/sqlite-store'
import Database from 'libsql'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ensureProgram } from '../test-support/index.js'
import { cutsOf, recordDisk, restore } from './support/power-cut.js'
import type { Cut } from './support/power-cut.js'

// The power fails at each moment of a short life of a store. strace is of Linux.

const strace =
  process.platform === 'linux' && (await ensureProgram({ commands: ['strace'], debian: 'strace' }))

/** What is missing, or half there, after all cuts of a run of `sqlite-teller`. */
async function lossesOf(args: readonly string[], only?: Cut['unsynced']) {
  const dir = mkdtempSync(join(tmpdir(), 'power-cut-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'mcp.db')
  const program = join(import.meta.dirname, 'dist/sqlite-teller.js')
  const events = await recordDisk([program, '--file', path, ...args], path, join(dir, 'log'))
  const losses: string[] = []
  const cuts = cutsOf(events).filter(({ unsynced }) => only === undefined || unsynced === only)
  const random = numbersFrom(7)
  for (const [index, cut] of cuts.entries()) {
    const folder = join(dir, String(index))
    restore(events, cut, folder, random)
    for (const loss of await lossesIn(join(folder, 'mcp.db'), cut.told))
      losses.push(`after ${cut.after} (${cut.unsynced} of the rest): ${loss}`)
    rmSync(folder, { recursive: true })
  }
  return { cuts, losses, events }
}

async function lossesIn(path: string, told: readonly string[]): Promise<string[]> {
  const database = new Database(path)
  const store = sqliteStore(database)
  try {
    const problems = database.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]
    const damaged = problems.map((row) => row.integrity_check).filter((text) => text !== 'ok')
    const found = await Promise.all(told.map((line) => isThere(store, line)))
    return [...damaged, ...told.filter((_, index) => !found[index]).map((line) => `${line} is lost`)]
  } catch (error) {
    return [String(error)]
  } finally {
    await store.close()
    database.close()
  }
}

async function isThere(store: ReturnType<typeof sqliteStore>, line: string): Promise<boolean> {
  const [what, scope = '', round] = line.split(' ')
  if (what === 'session') return (await store.readSession(scope)) !== undefined
  if (what === 'value') return Number((await store.readValue(scope, 'key'))?.data) >= Number(round)
  const entries = (await store.read(scope, 'call:c', '0-0', 100)) ?? []
  const last = 2 * Number(round ?? 0)
  // An append is there as a whole, or not at all.
  return entries.length > last && entries.length % 2 === 1
}

/** The same ones each time. */
function numbersFrom(seed: number) {
  let state = seed
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647
}

describe.runIf(strace)('the power fails', () => {
  test('nothing that was acknowledged is lost, whatever else the disk has written', async () => {
    const { cuts, losses, events } = await lossesOf([])
    expect(losses).toEqual([])
    expect(cuts.filter(({ told }) => told.length > 0).length).toBeGreaterThan(100)
    // What is written moves from the log into the file.
    const synced = new Set(events.flatMap((event) => (event.kind === 'sync' ? [event.file] : [])))
    expect(synced).toContain('mcp.db')
  })

  // The test of the test.
  test('without a sync before the acknowledgement something is', async () => {
    const { losses } = await lossesOf(['--synchronous', 'normal'], 'none')
    expect(losses.join('\n')).toMatch(/\(none of the rest\): round .* is lost/)
    // But what is there is whole.
    expect(losses.filter((loss) => !loss.endsWith(' is lost'))).toEqual([])
  })

  test('nor with an acknowledgement before the commit', async () => {
    const { losses } = await lossesOf(['--early'], 'none')
    expect(losses.join('\n')).toMatch(/round .* is lost/)
  })
})
