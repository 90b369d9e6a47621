import { isDurability } from '@mcp-durable/core/store'
import type { Durability } from '@mcp-durable/core/store'

export type RedisStoreOptions = {
  /** What all keys and channels begin with; default `mcp`. Systems that share a Redis need different ones. */
  prefix?: string
  /** Milliseconds within which every operation ends; default 5000. */
  deadlineMs?: number
  /**
   * Where Redis must have what it has acknowledged: in its memory (default, as its own settings are), on its disk (`fsync`), or
   * in the memory of replicas too (`replicated`). `ctx.atMostOnce` may ask for more than that.
   */
  durability?: Durability
  /** With how many replicas is `replicated`; default 1. */
  replicas?: number
}

const EXAMPLE = "redisStore(new Redis('redis://HOST:PORT')), with Redis of ioredis"

/** An address is not repeated: it may hold a password. */
export function checkClient(client: unknown) {
  if (typeof client === 'string' || client instanceof URL)
    throw new TypeError(`redisStore() takes a client, not an address: ${EXAMPLE}.`)
  const has = (name: string) => typeof (client as Record<string, unknown> | undefined)?.[name] === 'function'
  if (typeof client !== 'object' || client === null)
    throw new TypeError(`redisStore() takes a client, and was given ${String(client)}: ${EXAMPLE}.`)
  if (!['evalsha', 'duplicate', 'on'].every(has))
    throw new TypeError(`redisStore() takes a client of ioredis, and was given something else: ${EXAMPLE}.`)
}

const CHECKS: {
  [Name in keyof Required<RedisStoreOptions>]: [isRight: (value: unknown) => boolean, right: string]
} = {
  prefix: [
    // A brace would choose the slots of a Cluster.
    (prefix) => typeof prefix === 'string' && prefix !== '' && !/[{}]/.test(prefix),
    'a text without braces, that is not empty',
  ],
  deadlineMs: [(ms) => typeof ms === 'number' && ms > 0, 'a number of milliseconds above 0'],
  durability: [isDurability, "'memory', 'fsync' or 'replicated'"],
  replicas: [(count) => Number.isInteger(count) && (count as number) > 0, 'a whole number above 0'],
}

export function checkOptions(options: unknown) {
  if (typeof options !== 'object' || options === null)
    throw new TypeError("redisStore(client, options): options are an object, as in { prefix: 'shop' }.")
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof typeof CHECKS] : undefined
    if (!check) throw new TypeError(`redisStore() has no option '${name}'. There are: ${NAMES}.`)
    const [isRight, right] = check
    if (value !== undefined && !isRight(value))
      throw new TypeError(`redisStore(): '${name}' must be ${right}.`)
  }
}

const NAMES = Object.keys(CHECKS).join(', ')
