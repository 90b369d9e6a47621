import type { Keys } from '../keys.js'
import { pairs } from './reading.js'
import type { Reading } from './reading.js'

export type InspectedNode = {
  node: string
  /** Ms since its last heartbeat; of no meaning when it is `left`. */
  lateMs: number
  /** It has shut down, or another one took it for dead. */
  left: boolean
  /** In how many scopes it may own calls. */
  scopes: number
  /** What it says about itself; `undefined` for a node of an older version. */
  about: string | undefined
  /** When it last beat, in ms since 1970 by the store's clock. */
  beatAt: number
}

/** The nodes, and what each holds. */
export class Nodes {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  /** Those that have beaten and were not removed. */
  async list(): Promise<InspectedNode[]> {
    const [beats, now] = await Promise.all([
      this.#reading.ask('ZRANGE', [this.#keys.nodes(), 0, -1, 'WITHSCORES']),
      this.clock(),
    ])
    return Promise.all(pairs(beats).map(([node, beat]) => this.#node(node, Number(beat), now)))
  }

  /** The clock that heartbeats are measured by, in ms since 1970. */
  async clock(): Promise<number> {
    return clockOf(await this.#reading.ask('TIME', []))
  }

  /** Pages of the scopes that a node holds. */
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
      const [, count] = (await this.#reading.ask('PUBSUB', ['SHARDNUMSUB', channel], server)) as [
        string,
        number,
      ]
      return count
    })
    return (await Promise.all(counts)).some((count) => count > 0)
  }
}

export function clockOf(reply: unknown): number {
  const [seconds, micros] = reply as [string, string]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
