import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { median } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { quietRedis } from './redis.js'

const CLIENTS = 32
const MESSAGES = 20

/** Calls that send messages on their way; the handler waits for each to be sent, as the SDK's examples do. */
export const progress: Group = { title: 'progress messages', rows: ['progress'], weight: 50, run }

async function run({ effort, load, progress: tell, note, profile }: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const durable = cleanup.use(await Contestant.start('durable-redis', redis.url))
  const sdk = cleanup.use(await Contestant.start('sdk-events'))
  const job = { clients: CLIENTS, progress: MESSAGES }
  const rates = async (contestant: Contestant, warmUpMs: number, ms: number) => {
    const { perSecond } = await load.tell('closedLoop', { ...job, url: contestant.url, warmUpMs, ms })
    return perSecond
  }
  for (const contestant of [durable, sdk]) await rates(contestant, effort.warmUpMs, 1)
  const durables: number[] = []
  const sdks: number[] = []
  const turn = (contestant: Contestant, results: number[]) => async () => {
    const file = profile(`progress-${contestant.kind}`)
    results.push(await contestant.profiled(file, () => rates(contestant, 200, effort.roundMs)))
  }
  await takeTurns(effort.rounds, [turn(sdk, sdks), turn(durable, durables)], tell)
  note(
    `progress: ${Math.round(median(durables) * MESSAGES)} messages/s, SDK ${Math.round(median(sdks) * MESSAGES)}`,
  )
  return { progress: compare(durables, sdks) }
}
