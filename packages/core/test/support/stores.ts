import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'

export const STORES = ['memory', 'redis'] as const
export type StoreKind = (typeof STORES)[number]

/** One shared storage, and a store on it for each node. */
export interface Storage extends AsyncDisposable {
  forNode(): Store
}

export function openStorage(kind: StoreKind): Storage {
  return kind === 'memory' ? new MemoryStorage() : new RedisStorage()
}

class MemoryStorage implements Storage {
  readonly #store = memoryStore()

  forNode() {
    return this.#store
  }

  async [Symbol.asyncDispose]() {
    await this.#store.close()
  }
}

class RedisStorage implements Storage {
  readonly #redis = new Redis(process.env['REDIS_URL'] ?? '')
  readonly #prefix = `test-${randomUUID()}`

  forNode() {
    return redisStore(this.#redis, { prefix: this.#prefix })
  }

  async [Symbol.asyncDispose]() {
    for await (const keys of this.#redis.scanStream({ match: `${this.#prefix}*`, count: 1000 })) {
      if ((keys as string[]).length > 0) await this.#redis.unlink(...(keys as string[]))
    }
    this.#redis.disconnect()
  }
}
