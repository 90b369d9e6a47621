import type { Store } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { messageOf } from './cli.js'

export interface OpenStore extends AsyncDisposable {
  /** Undefined without Redis: the library then keeps everything in memory. */
  store: Store | undefined
}

/** Connects to Redis before the server starts, so that a wrong URL is an error message and not a server full of 503s. */
export async function openStore(redisUrl: string | undefined): Promise<OpenStore> {
  if (redisUrl === undefined) return { store: undefined, [Symbol.asyncDispose]: async () => {} }
  const redis = new Redis(redisUrl, { lazyConnect: true })
  // Without a listener ioredis prints every failed attempt; the library answers 503 while Redis is away.
  let lastError: unknown
  redis.on('error', (error) => (lastError = error))
  try {
    await redis.connect()
  } catch (error) {
    redis.disconnect()
    const { host } = new URL(redisUrl)
    throw new Error(
      `no Redis at ${host} (${messageOf(lastError ?? error)}); start one with 'docker compose up -d redis', ` +
        `or leave out --redis to keep everything in memory`,
      { cause: error },
    )
  }
  return { store: redisStore(redis), [Symbol.asyncDispose]: async () => redis.disconnect() }
}
