import { Stopwatch } from '../measure.js'
import { connected } from './closed-loop.js'
import { Client, inParallel } from './client.js'

const WARM_UP = 20

export type GrowthJob = { url: string; calls: number; block: number; rounds: number }

/** p50 in µs of calls in a session that has many behind it, and in new ones, in turns. */
export async function growth({ url, calls, block, rounds }: GrowthJob) {
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
    const fresh = await Client.connect(new URL(url))
    const [lateP50, earlyP50] = await inTurns(old, fresh, block)
    late.push(lateP50)
    early.push(earlyP50)
    fresh.close()
  }
  old.close()
  return { late, early }
}

/** p50 in µs of calls of one client at each of two servers, in turns. */
export async function besideEachOther({ urls, calls }: { urls: [string, string]; calls: number }) {
  const [one, other] = await Promise.all(urls.map((url) => connected(url, 1)))
  return await inTurns(one![0]!, other![0]!, calls)
}

/** Call by call, and each as often the first as the other: what disturbs the machine for a moment disturbs both. */
async function inTurns(one: Client, other: Client, calls: number): Promise<[number, number]> {
  const sides = [one, other].map((client) => ({ client, watch: new Stopwatch() }))
  for (let call = 0; call < WARM_UP; call++) for (const { client } of sides) await client.add()
  for (let call = 0; call < calls; call++) {
    for (const { client, watch } of call % 2 === 0 ? sides : sides.toReversed())
      await watch.time(() => client.add())
  }
  const [first, second] = sides.map(({ watch }) => watch.latencies.p50)
  return [first!, second!]
}
