import { readFile } from 'node:fs/promises'
import type { FetchLike } from '@mcp-durable/core/client'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { ClientOptions } from '@modelcontextprotocol/client'
import { spawnNode } from '../../test-support/index.js'
import type { NodeProcess } from '../../test-support/index.js'

/** How the official client finds out which protocol version it speaks. */
export type Mode = NonNullable<ClientOptions['versionNegotiation']>['mode']

/** Two nodes; what a client sends goes to the first, and to the second once that is dead. */
export class Pair implements AsyncDisposable {
  readonly ledger: string
  /** Of the protocol, that clients have spoken. */
  readonly versions = new Set<string | null>()
  readonly #nodes: NodeProcess[]
  #alive = 0
  private constructor(nodes: NodeProcess[], ledger: string) {
    this.#nodes = nodes
    this.ledger = ledger
  }

  static async start({ redis, ledger }: { redis: string; ledger: string }) {
    const args = ['--port', '0', '--redis', redis, '--ledger', ledger]
    const start = () => spawnNode('examples/dist/everything.js', args)
    return new Pair([await start(), await start()], ledger)
  }

  async killFirst() {
    this.#alive = 1
    await this.#nodes[0]?.kill('SIGKILL')
  }

  readonly fetch = (input: string | URL | Request, init?: RequestInit) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    this.versions.add(new Headers(init?.headers).get('mcp-protocol-version'))
    return fetch(new URL(pathname, this.#nodes[this.#alive]?.url), init)
  }

  /** What was really done. */
  async done(): Promise<string[]> {
    const text = await readFile(this.ledger, 'utf8').catch(() => '')
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ')[2] ?? '')
  }

  async client(mode: Mode, answer: () => Promise<string> = async () => '', through: FetchLike = this.fetch) {
    const client = new Client(
      { name: 'official', version: '1' },
      { capabilities: { elicitation: {} }, versionNegotiation: { mode } },
    )
    client.setRequestHandler('elicitation/create', async () => ({
      action: 'accept' as const,
      content: { answer: await answer() },
    }))
    await client.connect(
      new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch: through }),
    )
    return client
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#nodes.map((node) => node[Symbol.asyncDispose]()))
  }
}
