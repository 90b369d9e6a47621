import { Stopwatch } from '../measure.js'
import { Client, inParallel } from './client.js'

const WARM_UP = 20

/** p50 in µs of calls in a session that has many behind it, and in new ones, in turns. */
export async function growth({
  url,
  calls,
  block,
  rounds,
}: {
  url: string
  calls: number
  block: number
  rounds: number
}) {
  const old = await Client.connect(new URL(url))
  // Ids of their own, far from each other.
  const lanes = await Promise.all(
    Array.from({ length: 8 }, (_, lane) => Client.join(new URL(url), old.sessionId, (lane + 2) * 1_000_000)),
  )
  await inParallel(lanes, calls, (lane) => lane.add())
  for (const lane of lanes) lane.close()
  const late: number[] = []
  const early: number[] = []
  for (let round = 0; round < rounds; round++) {
    // Servers close connections on which nothing has happened for a while.
    await old.reconnect()
    late.push(await p50Of(old, block))
    const fresh = await Client.connect(new URL(url))
    early.push(await p50Of(fresh, block))
    fresh.close()
  }
  old.close()
  return { late, early }
}

async function p50Of(client: Client, block: number) {
  for (let call = 0; call < WARM_UP; call++) await client.add()
  const watch = new Stopwatch()
  for (let call = 0; call < block; call++) await watch.time(() => client.add())
  return watch.latencies.p50
}
