import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startRedis } from '../../../test-support/index.js'
import { takeTurns } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { quietRedis } from '../groups/redis.js'
import { median } from '../measure.js'
import { Load as LoadGenerator } from '../processes.js'
import type { Contender } from './contenders.js'
import { cut, killed, replaced, spread } from './scenes.js'
import type { Charges, Cut, Ground, Spread, Survival } from './scenes.js'

export type Rate = { perSecond: number; p99Ms: number }
export type Scenes = {
  killed: Survival
  /** `undefined`: it has no stream that could be resumed. */
  cut: Cut | undefined
  spread: Spread
  replaced: Survival
}
export type Outcome = Scenes & { rate: Rate }
/** The charges of a call: how many, and how long each takes. */
export type Call = { steps: number; delayMs: number }
/** Everybody’s turn in each round, of as many clients. */
export type Load = { rounds: number; loadMs: number; clients: number }

/** What becomes of calls and sessions, for one of them. `say`: each scene, as soon as it is over. */
export async function playScenes(
  contender: Contender,
  { steps, delayMs }: Call,
  say: (line: string) => void,
): Promise<Scenes> {
  await using cleanup = new Cleanup()
  const ground = await groundOf(contender, cleanup)
  const scene = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const value = await work()
    say(`${contender.name}: ${name}: ${told(value)}`)
    return value
  }
  const inTheMiddle: Charges = { steps, delayMs, strikeAfter: Math.ceil(steps * 0.6) }
  const early: Charges = { steps, delayMs, strikeAfter: Math.ceil(steps * 0.2) }
  return {
    killed: await scene('killed', () => killed(contender, ground, inTheMiddle)),
    cut: contender.streams ? await scene('cut', () => cut(contender, ground)) : undefined,
    spread: await scene('spread', () => spread(contender, ground)),
    replaced: await scene('replaced', () => replaced(contender, ground, early)),
  }
}

/**
 * Calls of a small tool, as many as one process serves: the medians of rounds in which all take turns, so that what disturbs the
 * machine for a while disturbs all of them.
 */
export async function ratesOf(
  contenders: readonly Contender[],
  { rounds, ...load }: Load,
): Promise<ReadonlyMap<string, Rate>> {
  const measured = new Map<string, Rate[]>(contenders.map(({ name }) => [name, []]))
  const turns = contenders.map((contender) => async () => {
    measured.get(contender.name)!.push(await rateOf(contender, load))
  })
  await takeTurns(rounds, turns, () => undefined)
  const medianOf = (all: readonly Rate[]) => ({
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    p99Ms: median(all.map(({ p99Ms }) => p99Ms)),
  })
  return new Map([...measured].map(([name, all]) => [name, medianOf(all)]))
}

async function groundOf({ keepsIn }: Contender, cleanup: Cleanup): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-comparison-'))
  cleanup.use({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) })
  if (keepsIn === 'memory') return { folder, place: '' }
  if (keepsIn === 'file') return { folder, place: join(folder, 'mcp.db') }
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  return { folder, place: redis.url }
}

async function rateOf(contender: Contender, { loadMs, clients }: Omit<Load, 'rounds'>): Promise<Rate> {
  await using cleanup = new Cleanup()
  const { folder, place } = await groundOf(contender, cleanup)
  const load = cleanup.use(await LoadGenerator.start())
  const server = cleanup.use(await contender.start(await freePort(), place, join(folder, 'load')))
  const url = new URL(contender.path, server.url).href
  const job = { url, clients, sessionless: contender.way !== 'session' }
  const { perSecond, latencies } = await load.tell('closedLoop', { ...job, warmUpMs: loadMs / 2, ms: loadMs })
  return { perSecond, p99Ms: latencies.p99 / 1000 }
}

const told = (value: unknown) =>
  JSON.stringify(value, (_key, part: unknown) => (part instanceof Set ? part.size : part))
