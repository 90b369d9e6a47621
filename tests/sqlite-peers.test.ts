import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { spawnNode, waitFor } from '../test-support/index.js'
import type { NodeProcess } from '../test-support/index.js'
import { pauseOutsideOfTransaction } from './support/sqlite.js'

// Real processes at one file of SQLite: turns to write, wakes, and what becomes of those that are stopped or killed.

const dirs: string[] = []
const running: NodeProcess[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.kill('SIGKILL')))
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

function newFile() {
  const dir = mkdtempSync(join(tmpdir(), 'sqlite-peers-'))
  dirs.push(dir)
  return join(dir, 'mcp.db')
}

let lastId = 0
async function start(file: string, ...args: string[]) {
  const all = ['--file', file, '--id', String(++lastId), ...args]
  const process = await spawnNode('tests/dist/sqlite-writer.js', all, { ready: /^ready/ })
  running.push(process)
  return process
}

/** How many ms after its commit each wake has come. */
const lateness = ({ output }: NodeProcess) =>
  [...output.matchAll(/^after ([\d.]+)/gm)].map(([, ms]) => Number(ms))
type Write = { number: number; overtaken: number }
/** The last ones: what a process has said is kept up to a size. */
const writesOf = ({ output }: NodeProcess): Write[] =>
  [...output.matchAll(/^write (\d+) overtaken (\d+)$/gm)].map(([, number, overtaken]) => ({
    number: Number(number),
    overtaken: Number(overtaken),
  }))
const lastWrite = (one: NodeProcess) => writesOf(one).at(-1)?.number ?? 0
const percentile = (all: readonly number[], share: number) =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length * share)] ?? Number.NaN
/** What it has said since then; only the last of what a process says is kept. */
function outputSince(one: NodeProcess): () => string {
  const known = one.output.slice(-1000)
  return () => one.output.slice(one.output.lastIndexOf(known) + known.length)
}
const mean = (all: readonly number[]) => all.reduce((sum, each) => sum + each, 0) / all.length
/** A socket of each process, and what it watches. */
const filesOf = (file: string) => readdirSync(`${file}-peers`)

/** Waits until each of them has written so often from now on; resolves to how often each was overtaken meanwhile. */
async function eachWrites(writers: readonly NodeProcess[], times: number) {
  const before = writers.map(lastWrite)
  const haveWritten = () => writers.every((one, index) => lastWrite(one) >= before[index]! + times)
  await waitFor(haveWritten)
  return writers.map((one, index) =>
    writesOf(one)
      .filter(({ number }) => number > before[index]!)
      .map(({ overtaken }) => overtaken),
  )
}

describe.each([2, 3])('%i writers without a pause', (count) => {
  test('write by turns: none is overtaken by the others for long', async () => {
    const file = newFile()
    const writers: NodeProcess[] = []
    while (writers.length < count) writers.push(await start(file, '--synchronous', 'full', '--rows', '50'))
    const overtaken = await eachWrites(writers, 100)

    // By each of the others once, and now and then by one that was quicker to the lock, or while the machine did something else.
    for (const each of overtaken) expect(percentile(each, 0.9)).toBeLessThanOrEqual(count)
    for (const each of overtaken) expect(mean(each)).toBeLessThanOrEqual(2 * count)
    const times = overtaken.map(({ length }) => length)
    expect(Math.max(...times) / Math.min(...times)).toBeLessThan(2)
  })
})

test('one that writes now and then is not starved by one that always writes', async () => {
  const file = newFile()
  await start(file, '--rows', '1000')
  const seldom = await start(file, '--every', '10', '--rows', '1000')
  const [overtaken] = await eachWrites([seldom], 50)
  expect(percentile(overtaken!, 0.9)).toBeLessThanOrEqual(2)
})

test('a change is heard in other processes before they would have looked for it', async () => {
  const file = newFile()
  const listeners = [await start(file, '--listens'), await start(file, '--listens')]
  await start(file, '--every', '5')
  await waitFor(() => listeners.every((one) => lateness(one).length >= 100))
  const late = listeners.map((one) => percentile(lateness(one), 0.5))
  console.log(`wake-up, median of each listener: ${late.map((ms) => ms.toFixed(2)).join(', ')} ms`)
  for (const ms of late) expect(ms).toBeLessThan(100)
})

test('one that is stopped holds up nobody, and looks by itself when it goes on', async () => {
  const file = newFile()
  const listener = await start(file, '--listens')
  const writer = await start(file, '--bytes', '5000')
  const stopped = await start(file, '--every', '1')
  await eachWrites([writer, stopped], 20)
  listener.pause()
  await pauseOutsideOfTransaction(stopped, file)
  // More than is kept for one that does not read.
  await eachWrites([writer], 500)
  // It may have been too slow before, too.
  const saidSince = outputSince(listener)

  listener.resume()
  stopped.resume()
  await waitFor(() => saidSince().includes('resync'))
  await eachWrites([writer, stopped], 20)
})

test('one that is killed holds up nobody and leaves nothing; another one takes its place', async () => {
  const file = newFile()
  const listener = await start(file, '--listens')
  const writers = [await start(file, '--every', '1'), await start(file, '--every', '1')]
  await eachWrites(writers, 20)
  expect(filesOf(file)).toHaveLength(2 * 3)

  await writers[0]!.kill('SIGKILL')
  await waitFor(() => listener.output.includes('resync'))
  await eachWrites([writers[1]!], 20)
  await waitFor(() => filesOf(file).length === 2 * 2)

  const next = await start(file, '--every', '1')
  await eachWrites([writers[1]!, next], 20)
  expect(filesOf(file)).toHaveLength(2 * 3)
})
