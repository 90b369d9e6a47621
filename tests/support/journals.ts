import { sessionIdOf } from '@mcp-durable/core'
import type { Cluster, Redis } from 'ioredis'

export type JournalRecord = { id: string; kind: string; message: Record<string, unknown> }

/** Reads what the store has written about one session, in the layout of `design.md`, "Redis". */
export class SessionKeys {
  readonly #redis: Redis | Cluster
  readonly session: string

  constructor(redis: Redis | Cluster, prefix: string, sessionId: string) {
    this.#redis = redis
    this.session = `${prefix}:{${sessionIdOf(sessionId)}}`
  }

  /** All keys of the session that there are, but for nonces, which expire within a minute. */
  async all(): Promise<string[]> {
    const keys = await this.#redis.keys(`${this.session}*`)
    return keys.filter((key) => !key.includes(':once:'))
  }

  /** Keys, nonces too, that would stay for ever. */
  async lasting(): Promise<string[]> {
    const keys = await this.#redis.keys(`${this.session}*`)
    const expiries = await Promise.all(keys.map((key) => this.#redis.pttl(key)))
    return keys.filter((_, index) => expiries[index] === -1)
  }

  async expiresIn(): Promise<number> {
    return this.#redis.pttl(this.session)
  }

  /** The newest standalone message that a client has got. */
  async delivered(): Promise<string | null> {
    return this.#redis.hget(this.session, 'd')
  }

  /** What each key holds, as text. Expiries are no part of it. */
  async contents(): Promise<Record<string, string>> {
    const keys = (await this.all()).toSorted()
    const entries = keys.map(async (key) => [key, JSON.stringify(await this.#value(key))] as const)
    return Object.fromEntries(await Promise.all(entries))
  }

  /** Every journal of the session by the id of its call. */
  async journals(): Promise<Map<string, JournalRecord[]>> {
    const keys = (await this.all()).filter((key) => /:call:[\w-]+$/.test(key))
    const journals = await Promise.all(
      keys.map(async (key) => [key.split(':call:')[1]!, await this.#records(key)] as const),
    )
    return new Map(journals)
  }

  async #value(key: string): Promise<unknown> {
    switch (await this.#redis.type(key)) {
      case 'stream':
        return this.#redis.xrange(key, '-', '+')
      case 'hash':
        // Redis tells the fields in any order.
        return Object.entries(await this.#redis.hgetall(key)).toSorted(([a], [b]) => (a < b ? -1 : 1))
      case 'zset':
        return this.#redis.zrange(key, '0', '-1')
      default:
        return this.#redis.get(key)
    }
  }

  async #records(key: string): Promise<JournalRecord[]> {
    const entries = await this.#redis.xrange(key, '-', '+')
    return entries.map(([id, fields]) => {
      const data = fields[fields.indexOf('d') + 1] ?? ''
      const space = data.indexOf(' ')
      return {
        id,
        kind: data.slice(0, space),
        message: JSON.parse(data.slice(space + 1)) as JournalRecord['message'],
      }
    })
  }
}
