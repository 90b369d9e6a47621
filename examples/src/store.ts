import type { Store } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { Redis } from 'ioredis'
import { messageOf, redisFlag, usageError } from './cli.js'

export interface OpenStore extends AsyncDisposable {
  /** Undefined: the library then keeps everything in memory. */
  store: Store | undefined
}

/** The store that the flags `--redis` or `--file` name. */
export async function openStore(
  flags: { redis?: string | undefined; file?: string | undefined },
  usage: string,
): Promise<OpenStore> {
  if (flags.redis !== undefined && flags.file !== undefined)
    return usageError('--redis and --file name two stores: give one of them', usage)
  const url = redisFlag(flags.redis, usage)
  if (url !== undefined) return openRedis(url)
  // It is closed with the server.
  const store = flags.file === undefined ? undefined : file(flags.file)
  return { store, [Symbol.asyncDispose]: async () => {} }
}

/** Connects to Redis before the server starts, so that a wrong URL is an error message and not a server full of 503s. */
async function openRedis(url: string): Promise<OpenStore> {
  const redis = new Redis(url, { lazyConnect: true })
  // Without a listener ioredis prints every failed attempt; the library answers 503 while Redis is away.
  let lastError: unknown
  redis.on('error', (error) => (lastError = error))
  try {
    await redis.connect()
  } catch (error) {
    redis.disconnect()
    const { host } = new URL(url)
    throw new Error(
      `no Redis at ${host} (${messageOf(lastError ?? error)}); start one with 'docker compose up -d redis', ` +
        `or give --file FILE, to keep everything in a file`,
      { cause: error },
    )
  }
  return { store: redisStore(redis), [Symbol.asyncDispose]: async () => redis.disconnect() }
}
