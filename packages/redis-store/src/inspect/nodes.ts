import type { InspectedNode, NodesInspection } from '@mcp-durable/core/inspect'
import type { Keys } from '../keys.js'
import { pairs } from '../replies.js'
import type { Reading } from './reading.js'

export class RedisNodes implements NodesInspection {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  async list(): Promise<InspectedNode[]> {
    const [beats, now] = await Promise.all([
      this.#reading.ask('ZRANGE', [this.#keys.nodes(), 0, -1, 'WITHSCORES']),
      this.clock(),
    ])
    return Promise.all(pairs(beats).map(([node, beat]) => this.#node(node, Number(beat), now)))
  }

  async clock(): Promise<number> {
    return clockOf(await this.#reading.ask('TIME', []))
  }

  held(node: string): AsyncGenerator<string[]> {
    return this.#reading.members('SSCAN', this.#keys.heldBy(node))
  }

  async #node(node: string, beatAt: number, now: number): Promise<InspectedNode> {
    const [scopes, about] = await Promise.all([
      this.#reading.number('SCARD', this.#keys.heldBy(node)),
      this.#reading.ask('HGET', [this.#keys.about(), node]),
    ])
    return {
      node,
      lateMs: now - beatAt,
      left: beatAt === 0,
      scopes,
      about: (about as string | null) ?? undefined,
      beatAt,
    }
  }

  /** Whether anybody watches a scope. In a Cluster each server knows its own listeners. */
  async isWatched(scope: string): Promise<boolean> {
    const channel = this.#keys.session(scope)
    const counts = this.#reading.servers().map(async (server) => {
      const ask = (command: string) => this.#reading.ask('PUBSUB', [command, channel], server)
      // An old server has plain pub/sub alone.
      const [, count] = (await ask('SHARDNUMSUB').catch(() => ask('NUMSUB'))) as [string, number]
      return count
    })
    return (await Promise.all(counts)).some((count) => count > 0)
  }
}

export function clockOf(reply: unknown): number {
  const [seconds, micros] = reply as [string, string]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
