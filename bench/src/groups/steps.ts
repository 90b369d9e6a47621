import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns, within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { quietRedis } from './redis.js'

const CALLS = 256

/** Steps, beside what the store could do at best; and how often they wait for it. */
export const steps: Group = {
  title: 'steps',
  rows: ['steps', 'round-trips-call', 'round-trips-at-least-once', 'round-trips-at-most-once'],
  weight: 30,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const contestant = cleanup.use(await Contestant.start('durable-redis', redis.url))
  return {
    ...(bench.wants('steps') && (await rates(bench, contestant))),
    ...(steps.rows.slice(1).some(bench.wants) && (await roundTrips(contestant))),
  }
}

async function rates({ effort, progress, profile }: Bench, contestant: Contestant): Promise<Measurements> {
  const job = { calls: CALLS, steps: effort.steps }
  const done: number[] = []
  const xadds: number[] = []
  await contestant.tell('steps', job)
  await contestant.tell('xadds', job)
  const turns = [
    async () => void xadds.push(await contestant.tell('xadds', job)),
    async () =>
      void done.push(await contestant.profiled(profile('steps'), () => contestant.tell('steps', job))),
  ]
  await takeTurns(effort.rounds, turns, progress)
  return { steps: compare(done, xadds) }
}

async function roundTrips(contestant: Contestant): Promise<Measurements> {
  const { call, atLeastOnce, atMostOnce } = await contestant.tell('roundTrips')
  return {
    'round-trips-call': within(call, 2),
    'round-trips-at-least-once': within(atLeastOnce, 1),
    'round-trips-at-most-once': within(atMostOnce, 2),
  }
}
