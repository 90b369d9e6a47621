import { EventEmitter, once } from 'node:events'
import { sessionIdOf } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import { Stopwatch } from '../measure.js'
import type { Latencies } from '../measure.js'
import { Client } from './client.js'

/** Until all have come that were sent. */
const WAIT_MS = 10_000

const arrivals = new EventEmitter()
let notified = new Stopwatch()
let published = new Stopwatch()
let open: { client: Client; redis: Redis | undefined } | undefined

/** Hears notifications on the standalone stream of a new session, and messages of a Redis channel, if there is one. */
export async function listen({
  url,
  redis: redisUrl,
  channel,
}: {
  url: string
  redis?: string
  channel?: string
}) {
  const client = await Client.connect(new URL(url))
  await client.listen((text) => hear(text, notified))
  const redis = redisUrl === undefined ? undefined : new Redis(redisUrl)
  redis?.on('message', (_channel, message: string) => hear(message, published))
  await redis?.subscribe(channel!)
  open = { client, redis }
  return sessionIdOf(client.sessionId)
}

/** How long those took that came since the last look, of each kind; waits until there are as many. */
export async function heard({ count }: { count: number }): Promise<Heard> {
  const signal = AbortSignal.timeout(WAIT_MS)
  const look = () => ({ notified: notified.latencies, published: published.latencies })
  let latencies = look()
  const least = { notified: count, published: open?.redis ? count : 0 }
  while (latencies.notified.count < least.notified || latencies.published.count < least.published) {
    await once(arrivals, 'arrival', { signal }).catch((cause: unknown) => {
      const { notified: ours, published: peers } = latencies
      throw new Error(`of ${count} each, ${ours.count} notifications and ${peers.count} messages came`, {
        cause,
      })
    })
    latencies = look()
  }
  notified = new Stopwatch()
  published = new Stopwatch()
  return latencies
}

type Heard = { notified: Latencies; published: Latencies }

export function stopListening() {
  open?.client.close()
  open?.redis?.disconnect()
  open = undefined
}

function hear(text: string, stopwatch: Stopwatch) {
  const now = process.hrtime.bigint()
  for (const [, sentAt] of text.matchAll(/sent at (\d+)/g)) stopwatch.add(now - BigInt(sentAt ?? 0))
  arrivals.emit('arrival')
}
