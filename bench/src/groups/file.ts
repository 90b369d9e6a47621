import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import type { Latencies } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurements, RowName } from '../rows.js'
import { Entrant } from './entrant.js'
import { quietRedis } from './redis.js'
import { callsBeside } from './sessions.js'

const CALLS = 256
const WAKE_P50_LIMIT_MS = 5
const WAKE_P99_LIMIT_MS = 20
const EVERY_MS = 4

const normal = { synchronous: 'normal' }

/** `add`, with all kept in a file: beside the SDK in memory, and beside Redis. */
export const callsFile: Group = {
  title: 'calls on a file',
  rows: ['calls-sqlite-full', 'calls-sqlite-normal'],
  weight: 100,
  async run(bench) {
    await using cleanup = new Cleanup()
    await using folder = await temporaryFolder()
    const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const entrant = (name: string, contestant: Contestant) =>
      new Entrant(name, redis, cleanup.use(contestant))
    const sdk = entrant('sdk', await Contestant.start('sdk'))
    const onRedis = entrant('redis', await Contestant.start('durable-redis', redis.url))
    const full = entrant('file, full', await Contestant.start('durable-file', folder.file('full')))
    const asNormal = await Contestant.start('durable-file', folder.file('normal'), normal)
    const field = [sdk, onRedis, full, entrant('file, normal', asNormal)]
    for (const one of field) await one.warmUp(bench)
    const turns = field.map((one) => () => one.rush(bench))
    await takeTurns(bench.effort.rounds, turns, bench.progress)
    for (const one of field) one.tell(bench)
    const rates = ({ rushes }: Entrant) => rushes.map(({ perSecond }) => perSecond)
    return {
      'calls-sqlite-full': compare(rates(full), rates(sdk)),
      'calls-sqlite-normal': compare(rates(field[3]!), rates(sdk)),
    }
  },
}

/** What else is asked of a file, each beside what SQLite does at best. */
export const file: Group = {
  title: 'a file',
  rows: ['steps-sqlite', 'replay-sqlite', 'wake-sqlite-p50', 'wake-sqlite-p99', 'growth-sqlite'],
  weight: 260,
  async run(bench) {
    const measured: Measurements = {}
    for (const [rows, measure] of parts)
      if (rows.some(bench.wants)) Object.assign(measured, await measure(bench))
    return measured
  },
}

const parts: readonly (readonly [readonly RowName[], (bench: Bench) => Promise<Measurements>])[] = [
  [['steps-sqlite'], steps],
  [['replay-sqlite'], replay],
  [['wake-sqlite-p50', 'wake-sqlite-p99'], wakes],
  [['growth-sqlite'], growth],
]

async function steps({ effort, progress, profile }: Bench): Promise<Measurements> {
  await using folder = await temporaryFolder()
  await using node = await Contestant.start('durable-file', folder.file('steps'))
  const job = { lanes: CALLS, steps: effort.steps, ms: effort.roundMs }
  const done: number[] = []
  const inserts: number[] = []
  await node.tell('steps', { ...job, ms: effort.warmUpMs })
  await node.tell('inserts', { ...job, ms: effort.warmUpMs })
  const turns = [
    async () => void inserts.push(await node.tell('inserts', job)),
    async () => {
      const { perSecond } = await node.profiled(profile('steps-sqlite'), () => node.tell('steps', job))
      done.push(perSecond)
    },
  ]
  await takeTurns(effort.rounds, turns, (share) => progress(share / 4))
  return { 'steps-sqlite': compare(done, inserts) }
}

async function replay({ effort: { replay: size }, load, profile }: Bench): Promise<Measurements> {
  await using folder = await temporaryFolder()
  const path = folder.file('replay')
  await using node = await Contestant.start('durable-file', path)
  const { http, plain } = await node.profiled(profile('replay-sqlite'), () =>
    load.tell('replay', { url: node.url, file: path, ...size }),
  )
  const perSecond = (ms: number) => (size.events * 1000) / ms
  return { 'replay-sqlite': compare(http.map(perSecond), plain.map(perSecond)) }
}

/** Notifications that one process sends and another one hands out. Without the time that a disk takes for FULL. */
async function wakes({ effort, load, progress }: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  await using folder = await temporaryFolder()
  const path = folder.file('wakes')
  const sender = cleanup.use(await Contestant.start('durable-file', path, normal))
  const receiver = cleanup.use(await Contestant.start('durable-file', path, normal))
  const sessionId = await load.tell('listen', { url: receiver.url })
  const job = { sessionId, count: effort.notifications, everyMs: EVERY_MS }
  const heard: Latencies[] = []
  const turn = async () => {
    await sender.tell('notify', job)
    heard.push((await load.tell('heard', { count: job.count })).notified)
  }
  await turn()
  heard.pop()
  await takeTurns(effort.rounds, [turn], (share) => progress(0.4 + share / 5))
  await load.tell('stopListening')
  const beside = (at: 'p50' | 'p99', limit: number) =>
    compare(
      heard.map((latencies) => latencies[at] / 1000),
      heard.map(() => limit),
    )
  return {
    'wake-sqlite-p50': beside('p50', WAKE_P50_LIMIT_MS),
    'wake-sqlite-p99': beside('p99', WAKE_P99_LIMIT_MS),
  }
}

async function growth(bench: Bench): Promise<Measurements> {
  await using folder = await temporaryFolder()
  const { sessions } = bench.effort.idle
  {
    await using node = await Contestant.start('durable-file', folder.file('full'), normal)
    const began = performance.now()
    await bench.load.tell('createSessions', { url: node.url, count: sessions, use: true })
    const perSecond = Math.round((sessions * 1000) / (performance.now() - began))
    bench.note(`a file: ${perSecond} sessions begun and used per second`)
  }
  await using cleanup = new Cleanup()
  const start = async (name: string) =>
    cleanup.use(await Contestant.start('durable-file', folder.file(name), normal))
  const { late, early } = await callsBeside(bench, await start('full'), await start('empty'))
  return { 'growth-sqlite': compare(late, early) }
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-bench-'))
  return {
    file: (name: string) => join(path, `${name}.db`),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
