import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns, within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import type { StepsResult } from '../contestant/steps.js'
import { median } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurement, Measurements } from '../rows.js'
import { quietRedis } from './redis.js'

const CALLS = 256
const counted = [
  'round-trips-call',
  'round-trips-call-sessionless',
  'round-trips-at-least-once',
  'round-trips-at-most-once',
] as const

/** Steps, beside what the store could do at best; and how often they wait for it. */
export const steps: Group = {
  title: 'steps',
  rows: ['steps', 'steps-sessionless', ...counted],
  weight: 50,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const contestant = cleanup.use(await Contestant.start('durable-redis', redis.url))
  return {
    ...(bench.wants('steps') && { steps: await stepRates(bench, contestant) }),
    ...(bench.wants('steps-sessionless') && {
      'steps-sessionless': await stepRates(bench, contestant, true),
    }),
    ...(counted.some(bench.wants) && (await roundTrips(contestant))),
  }
}

async function stepRates(
  { effort, progress, profile, note }: Bench,
  contestant: Contestant,
  sessionless = false,
): Promise<Measurement> {
  const job = { lanes: CALLS, steps: effort.steps, ms: effort.roundMs, sessionless }
  const name = sessionless ? 'steps-sessionless' : 'steps'
  const done: StepsResult[] = []
  const xadds: number[] = []
  await contestant.tell('steps', { ...job, ms: effort.warmUpMs })
  await contestant.tell('xadds', { ...job, ms: effort.warmUpMs })
  const turns = [
    async () => void xadds.push(await contestant.tell('xadds', job)),
    async () => void done.push(await contestant.profiled(profile(name), () => contestant.tell('steps', job))),
  ]
  await takeTurns(effort.rounds, turns, progress)
  note(`${name}: CPU per step ${Math.round(median(done.map(({ cpuPerStep }) => cpuPerStep)))} µs`)
  const rates = done.map(({ perSecond }) => perSecond)
  return compare(rates, xadds)
}

async function roundTrips(contestant: Contestant): Promise<Measurements> {
  const { call, callSessionless, atLeastOnce, atMostOnce } = await contestant.tell('roundTrips')
  return {
    'round-trips-call': within(call, 2),
    'round-trips-call-sessionless': within(callSessionless, 2),
    'round-trips-at-least-once': within(atLeastOnce, 1),
    'round-trips-at-most-once': within(atMostOnce, 2),
  }
}
