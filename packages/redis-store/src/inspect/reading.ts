import { storeError } from '../errors.js'

/** The commands that an inspector sends. None of them writes. */
export type ReadingCommand =
  | 'CLUSTER'
  | 'CONFIG'
  | 'GET'
  | 'HGET'
  | 'HMGET'
  | 'HSCAN'
  | 'INFO'
  | 'MEMORY'
  | 'PEXPIRETIME'
  | 'PTTL'
  | 'PUBSUB'
  | 'SCAN'
  | 'SCARD'
  | 'SSCAN'
  | 'TIME'
  | 'XLEN'
  | 'XRANGE'
  | 'XREVRANGE'
  | 'ZCARD'
  | 'ZRANGE'
  | 'ZRANGEBYLEX'
  | 'ZREVRANGEBYLEX'
  | 'ZSCAN'
  | 'ZSCORE'

/** What an inspector needs of a client. `Redis` and `Cluster` of ioredis 6 have it. */
export interface InspectableRedis {
  readonly isCluster: boolean
  readonly options: object
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  /** Of a Cluster: a client for each of its masters. */
  nodes?(role: 'master'): InspectableRedis[]
}

/** How many keys or members a page of a scan looks at: about a millisecond of the server's time. */
const PAGE = 1000

/** Reads, and nothing else. Long reads go page by page, so that the server serves others in between. */
export class Reading {
  readonly #redis: InspectableRedis

  constructor(redis: InspectableRedis) {
    this.#redis = redis
  }

  /** The servers that together hold all keys. */
  servers(): InspectableRedis[] {
    return this.#redis.isCluster ? (this.#redis.nodes?.('master') ?? []) : [this.#redis]
  }

  get isCluster() {
    return this.#redis.isCluster
  }

  async ask(
    command: ReadingCommand,
    args: readonly (string | number)[],
    server: InspectableRedis = this.#redis,
  ): Promise<unknown> {
    try {
      return await server.call(command, ...args)
    } catch (error) {
      throw storeError(error, false)
    }
  }

  async texts(command: ReadingCommand, ...args: (string | number)[]): Promise<string[]> {
    return (await this.ask(command, args)) as string[]
  }

  async number(command: ReadingCommand, ...args: (string | number)[]): Promise<number> {
    return Number(await this.ask(command, args))
  }

  /** Keys that match, of all servers, a page at a time. A key may come twice. */
  async *keys(match: string): AsyncGenerator<string[]> {
    for (const server of this.servers()) {
      yield* this.#pages(async (cursor) => this.ask('SCAN', [cursor, 'MATCH', match, 'COUNT', PAGE], server))
    }
  }

  /** Members of a collection that match: of a set, or with their scores or values of a sorted set or hash. */
  members(command: 'SSCAN' | 'HSCAN' | 'ZSCAN', key: string, match = '*'): AsyncGenerator<string[]> {
    return this.#pages(async (cursor) => this.ask(command, [key, cursor, 'MATCH', match, 'COUNT', PAGE]))
  }

  async *#pages(read: (cursor: string) => Promise<unknown>): AsyncGenerator<string[]> {
    let cursor = '0'
    do {
      const [next, page] = (await read(cursor)) as [string, string[]]
      if (page.length > 0) yield page
      cursor = next
    } while (cursor !== '0')
  }
}

/** A pattern that matches the text itself. */
export const literally = (text: string) => text.replace(/[\\*?[\]^-]/g, String.raw`\$&`)
