import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisStore } from '@mcp-durable/redis-store'
import type { Store } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import {
  spawnNode,
  startRedis,
  type NodeProcess,
  type RedisOptions,
  type RedisServer,
} from '../../../../test-support/index.js'
import { RawSession, type RawEvent, type RawStream } from '../../../../tests/support/raw.js'

/** A Redis of its own with real nodes of the demo on it. */
export class Demo implements AsyncDisposable {
  readonly nodes: NodeProcess[] = []
  readonly redis: RedisServer
  readonly client: Redis
  readonly store: Store
  readonly #dir: string

  private constructor(redis: RedisServer, dir: string) {
    this.redis = redis
    this.client = new Redis(redis.url)
    this.client.on('error', () => undefined)
    this.store = redisStore(this.client)
    this.#dir = dir
  }

  static async start({ nodes = 2, ...options }: RedisOptions & { nodes?: number } = {}): Promise<Demo> {
    const demo = new Demo(await startRedis(options), await mkdtemp(join(tmpdir(), 'mcp-durable-cli-')))
    try {
      await Promise.all(Array.from({ length: nodes }, () => demo.addNode()))
      return demo
    } catch (error) {
      await demo[Symbol.asyncDispose]()
      throw error
    }
  }

  get url() {
    return this.redis.url
  }

  async addNode(): Promise<NodeProcess> {
    const args = ['--redis', this.redis.url, '--ledger', join(this.#dir, 'ledger')]
    const node = await spawnNode('examples/dist/demo/node.js', args)
    this.nodes.push(node)
    return node
  }

  begin(node: NodeProcess): Promise<RawSession> {
    return RawSession.begin(named(node), '2025-11-25', { elicitation: {} })
  }

  /** Begins to book a table, up to where the tool asks for a name: until that is answered the call stays open. */
  async book(node: NodeProcess, session?: RawSession): Promise<Booking> {
    const of = session ?? (await this.begin(node))
    const stream = await of.call(named(node), 'book_table')
    const asked = await stream.events.first(({ data }) => data.includes('elicitation/create'))
    return new Booking(of, stream, asked)
  }

  async [Symbol.asyncDispose]() {
    await this.store.close()
    this.client.disconnect()
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')))
    await this.redis[Symbol.asyncDispose]()
    await rm(this.#dir, { recursive: true, force: true })
  }
}

/** A call that waits for the answer to its question. */
export class Booking {
  readonly callId: string

  constructor(
    readonly session: RawSession,
    readonly stream: RawStream,
    readonly asked: RawEvent,
  ) {
    this.callId = (asked.id ?? '').split('.')[0] ?? ''
  }

  async answer(node: NodeProcess, username: string): Promise<void> {
    const { id } = JSON.parse(this.asked.data) as { id: string }
    const response = await this.session.post(named(node), {
      id,
      result: { action: 'accept', content: { username } },
    })
    await response.text()
  }
}

/** As it is printed. Without the ellipsis one in 150,000 looks like an option: `--wake`. */
export const short = (id: string) => `${id.slice(0, 6)}…`

export const named = (node: NodeProcess) => ({ name: String(node.pid), url: node.url })
