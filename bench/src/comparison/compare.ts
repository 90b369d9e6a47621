import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startRedis } from '../../../test-support/index.js'
import { Cleanup } from '../cleanup.js'
import { quietRedis } from '../groups/redis.js'
import { Load } from '../processes.js'
import type { Contender } from './contenders.js'
import { cut, killed, replaced, spread } from './scenes.js'
import type { Charges, Cut, Ground, Spread, Survival } from './scenes.js'

export type Rate = { perSecond: number; p99Ms: number }
export type Outcome = {
  killed: Survival
  /** `undefined`: it has no stream that could be resumed. */
  cut: Cut | undefined
  spread: Spread
  replaced: Survival
  rate: Rate
}
/** How much is done: charges of a call, and for how long calls are made. */
export type Measure = { steps: number; delayMs: number; loadMs: number; clients: number }

/** Everything that is compared, for one of them. `say`: each scene, as soon as it is over. */
export async function compare(
  contender: Contender,
  { steps, delayMs, ...load }: Measure,
  say: (line: string) => void,
): Promise<Outcome> {
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
    rate: await scene('load', () => rateOf(contender, ground, load)),
  }
}

async function groundOf({ keepsIn }: Contender, cleanup: Cleanup): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-comparison-'))
  cleanup.use({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) })
  if (keepsIn === 'memory') return { folder, place: '' }
  if (keepsIn === 'file') return { folder, place: join(folder, 'mcp.db') }
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  return { folder, place: redis.url }
}

/** Calls of a small tool, as many as one process serves. */
async function rateOf(
  { start, path, way }: Contender,
  { place, folder }: Ground,
  { loadMs, clients }: Pick<Measure, 'loadMs' | 'clients'>,
): Promise<Rate> {
  await using cleanup = new Cleanup()
  const load = cleanup.use(await Load.start())
  const server = cleanup.use(await start(await freePort(), place, join(folder, 'load')))
  const job = { url: new URL(path, server.url).href, clients, sessionless: way !== 'session' }
  const { perSecond, latencies } = await load.tell('closedLoop', { ...job, warmUpMs: loadMs / 2, ms: loadMs })
  return { perSecond, p99Ms: latencies.p99 / 1000 }
}

const told = (value: unknown) =>
  JSON.stringify(value, (_key, part: unknown) => (part instanceof Set ? part.size : part))
