import { afterAll } from 'vitest'
import { startRedis } from '../../test-support/index.js'

/**
 * A Redis for the programs of one test file, which find it in `REDIS_URL`. Servers of others on the same one, without names
 * of their own, would take over calls of nodes that are killed here.
 */
export async function ownRedis(): Promise<string> {
  const redis = await startRedis()
  const shared = process.env['REDIS_URL']
  process.env['REDIS_URL'] = redis.url
  afterAll(async () => {
    // The next file runs in this process.
    process.env['REDIS_URL'] = shared
    await redis[Symbol.asyncDispose]()
  })
  return redis.url
}
