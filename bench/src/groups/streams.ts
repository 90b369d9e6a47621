import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import type { Latencies } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { quietRedis } from './redis.js'

const CHANNEL = 'bench-messages'
const EVERY_MS = 4
/** Until all that a stream does at its beginning is done. */
const SETTLE_MS = 1000

/** Replays of a stream, from its beginning. */
export const replay: Group = {
  title: 'replay',
  rows: ['replay'],
  weight: 15,
  async run({ effort: { replay: size }, load, profile }) {
    await using cleanup = new Cleanup()
    const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const node = cleanup.use(await Contestant.start('durable-redis', redis.url))
    const { http, plain } = await node.profiled(profile('replay'), () =>
      load.tell('replay', { url: node.url, redis: redis.url, ...size }),
    )
    const perSecond = (ms: number) => (size.events * 1000) / ms
    return { replay: compare(http.map(perSecond), plain.map(perSecond)) }
  },
}

/** Notifications that one node sends and another one hands out. */
export const notifications: Group = {
  title: 'notifications',
  rows: ['notification'],
  weight: 50,
  async run({ effort, load, progress, note, profile }) {
    await using cleanup = new Cleanup()
    const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const sender = cleanup.use(await Contestant.start('durable-redis', redis.url))
    const receiver = cleanup.use(await Contestant.start('durable-redis', redis.url))
    const sessionId = await load.tell('listen', { url: receiver.url, redis: redis.url, channel: CHANNEL })
    const job = { sessionId, channel: CHANNEL, count: effort.notifications, everyMs: EVERY_MS }
    const notified: Latencies[] = []
    const published: Latencies[] = []
    const send = async () => {
      await sender.tell('notify', job)
      return await load.tell('heard', { count: job.count })
    }
    const turn = async () => {
      const heard = await send()
      notified.push(heard.notified)
      published.push(heard.published)
    }
    // Until their code is compiled.
    await send()
    await receiver.profiled(profile('notification-receiver'), () =>
      takeTurns(effort.rounds, [turn], progress),
    )
    await load.tell('stopListening')
    const compareAt = (at: 'p50' | 'p99') =>
      compare(
        notified.map((latencies) => latencies[at]),
        published.map((latencies) => latencies[at]),
      )
    const { value, peer } = compareAt('p50')
    note(`notification: p50 ${Math.round(value)} µs, PUBLISH ${Math.round(peer)} µs`)
    return { notification: compareAt('p99') }
  },
}

/** What an idle stream takes: the garbage of a process that has opened them is collected, then it is looked at. */
export const idleStreams: Group = {
  title: 'idle streams',
  rows: ['memory-stream'],
  weight: 60,
  async run(bench) {
    const durables: Used[] = []
    const bare: Used[] = []
    await takeTurns(
      bench.effort.streams.rounds,
      [
        async () => void bare.push(await ofBare(bench)),
        async () => void durables.push(await ofDurable(bench)),
      ],
      bench.progress,
    )
    const used = (all: readonly Used[]) => all.map((one) => one.used)
    const rss = compare(
      durables.map((one) => one.rss),
      bare.map((one) => one.rss),
    )
    const share = `${rss.ratio.toFixed(2)}× (${Math.round(rss.value)} B, ${Math.round(rss.peer)} B)`
    bench.note(`idle streams: resident memory ${share}`)
    return { 'memory-stream': compare(used(durables), used(bare)) } satisfies Measurements
  },
}

type Used = { used: number; rss: number }

async function ofBare(bench: Bench): Promise<Used> {
  await using bare = await Contestant.start('bare-sse')
  return await perStream(bench, bare, (count) => Promise.resolve(Array.from({ length: count }, () => '')))
}

/** The sessions are begun on another node, so that this one has the streams and nothing else. */
async function ofDurable(bench: Bench): Promise<Used> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const other = cleanup.use(await Contestant.start('durable-redis', redis.url))
  const node = cleanup.use(await Contestant.start('durable-redis', redis.url))
  return await perStream(bench, node, (count) =>
    bench.load.tell('createSessions', { url: other.url, count, use: false }),
  )
}

async function perStream(
  { effort, load }: Bench,
  contestant: Contestant,
  sessions: (count: number) => Promise<string[]>,
): Promise<Used> {
  const { count } = effort.streams
  const hold = async (streams: number) => {
    await load.tell('holdStreams', { url: contestant.url, sessionIds: await sessions(streams) })
    await sleep(SETTLE_MS)
  }
  await hold(Math.ceil(count / 10))
  await load.tell('dropStreams')
  await sleep(SETTLE_MS)
  const before = await contestant.tell('memory')
  await hold(count)
  const after = await contestant.tell('memory')
  await load.tell('dropStreams')
  return { used: (after.used - before.used) / count, rss: (after.rss - before.rss) / count }
}
