import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import type { RedisInspection } from '@mcp-durable/redis-store/inspect'
import type { Store } from '@mcp-durable/core'
import type { GlobalOptions, Values } from './command-line.js'
import { connect } from './connect/connect.js'
import type { Client, Patience } from './connect/connect.js'
import { DEFAULT_URL, hostsOf, parseTarget } from './connect/target.js'
import { Output } from './show/output.js'
import { Privacy } from './show/privacy.js'

/** What a command needs of a Redis: looking into it. */
export type Connected = { client: Client; inspect: RedisInspection; where: string }

/** What a command is given. Connections are made when they are asked for, and end with it. */
export class Context implements AsyncDisposable {
  readonly options: GlobalOptions
  readonly values: Values
  readonly args: readonly string[]
  readonly output: Output
  readonly privacy: Privacy
  readonly #closing: Array<() => unknown> = []

  constructor(options: GlobalOptions, values: Values, args: readonly string[]) {
    this.options = options
    this.values = values
    this.args = args
    this.output = new Output(options)
    this.privacy = new Privacy(options)
  }

  /** The argument at an index; the command line has been checked for it. */
  arg(index: number): string {
    return this.args[index] ?? ''
  }

  async connect(patience: Patience = { patient: false }): Promise<Connected> {
    const target = parseTarget(this.options.redis ?? DEFAULT_URL)
    const client = await connect(target, patience)
    this.#closing.push(() => client.disconnect())
    const { prefix } = this.options
    const inspect = inspectRedis(client, { prefix })
    return { client, inspect, where: hostsOf(target) }
  }

  /** The store itself, to be woken by it, and to delete. */
  store({ client }: Connected): Store {
    const store = redisStore(client, { prefix: this.options.prefix })
    this.#closing.push(() => store.close())
    return store
  }

  async [Symbol.asyncDispose]() {
    for (const close of this.#closing.toReversed()) await close()
  }
}
