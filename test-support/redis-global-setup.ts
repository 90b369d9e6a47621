import { Redis } from 'ioredis'

import { ensureRedis } from './redis-launcher.js'
import { startRedis } from './redis-server.js'

/**
 * Gives every test file a real Redis in `REDIS_URL`: the one that is set, else an own server that ends with the
 * run. Never skips: without a Redis the run fails and says how to get one.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['REDIS_URL']
  if (given) {
    await ping(given)
    return undefined
  }

  await ensureRedis()
  const server = await startRedis()
  process.env['REDIS_URL'] = server.url
  return async () => {
    delete process.env['REDIS_URL']
    await server[Symbol.asyncDispose]()
  }
}

async function ping(url: string): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: null })
  redis.on('error', () => {})
  try {
    await redis.connect()
    await redis.ping()
  } catch (cause) {
    const { host } = new URL(url)
    throw new Error(`REDIS_URL is set, but no Redis answers at ${host}. Start it, or unset REDIS_URL.`, {
      cause,
    })
  } finally {
    redis.disconnect()
  }
}
