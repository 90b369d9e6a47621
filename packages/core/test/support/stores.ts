import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { Redis } from 'ioredis'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'

export type StoreKind = 'memory' | 'redis' | 'sqlite'

/** In CI with SQLite on the oldest Node.js, where the driver is libsql, and the newest, where it is node:sqlite: tests take as long as with Redis. */
const isBetween = process.env['CI'] !== undefined && /^v(22|24)\./.test(process.version)
export const STORES: readonly StoreKind[] = isBetween ? ['memory', 'redis'] : ['memory', 'redis', 'sqlite']

/** One shared storage, and a store on it for each node. */
export interface Storage extends AsyncDisposable {
  forNode(): Store
}

export function openStorage(kind: StoreKind): Storage {
  switch (kind) {
    case 'memory':
      return new MemoryStorage()
    case 'redis':
      return new RedisStorage()
    case 'sqlite':
      return new SqliteStorage()
  }
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

/** Each node has the file open as another process would. */
class SqliteStorage implements Storage {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  readonly #stores: Store[] = []

  forNode() {
    const store = file(join(this.#folder, 'mcp.db'), { synchronous: 'normal' })
    this.#stores.push(store)
    return store
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#stores.map((store) => store.close()))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
