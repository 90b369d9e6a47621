import { Stopwatch } from '../measure.js'
import { connected } from './closed-loop.js'
import { Client, inParallel } from './client.js'

const WARM_UP = 20
const LANES = 32

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
    const [lateP50, earlyP50] = await inTurns([old, fresh], block)
    late.push(lateP50!)
    early.push(earlyP50!)
    fresh.close()
  }
  old.close()
  return { late, early }
}

/** p50 in µs of calls of one client at each server, in turns. */
export async function besideEachOther({ urls, calls, sessionless }: BesideJob) {
  const clients = await Promise.all(urls.map((url) => connected(url, 1, sessionless && 'add')))
  return await inTurns(clients.flat(), calls)
}
export type BesideJob = { urls: string[]; calls: number; sessionless?: boolean }

/** As many calls of `add` in protocol 2026-07-28, which are over at the end. */
export async function endCalls({ url, count }: { url: string; count: number }) {
  const lanes = await connected(url, LANES, 'add')
  await inParallel(lanes, count, (lane) => lane.add())
}

/** Call by call, and every second time backwards: what disturbs the machine for a moment disturbs both. */
async function inTurns(clients: readonly Client[], calls: number): Promise<number[]> {
  const sides = clients.map((client) => ({ client, watch: new Stopwatch() }))
  for (let call = 0; call < WARM_UP; call++) for (const { client } of sides) await client.add()
  for (let call = 0; call < calls; call++) {
    for (const { client, watch } of call % 2 === 0 ? sides : sides.toReversed())
      await watch.time(() => client.add())
  }
  return sides.map(({ watch }) => watch.latencies.p50)
}
