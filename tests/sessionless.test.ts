import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike } from '@mcp-durable/core/client'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { ClientOptions } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnNode, startRedis, waitFor } from '../test-support/index.js'
import type { NodeProcess, RedisServer } from '../test-support/index.js'

// The official client in protocol 2026-07-28, and nodes that are killed under it.

const MODES: [name: string, mode: NonNullable<ClientOptions['versionNegotiation']>['mode']][] = [
  ['pinned', { pin: '2026-07-28' }],
  ['auto', 'auto'],
]

let redis: RedisServer
let folder: string
beforeAll(async () => {
  redis = await startRedis()
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-sessionless-'))
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Two nodes; what a client sends goes to the first, and to the second once that is dead. */
class Pair implements AsyncDisposable {
  readonly ledger: string
  /** Of the protocol, that clients have spoken. */
  readonly versions = new Set<string | null>()
  readonly #nodes: NodeProcess[]
  #alive = 0
  private constructor(nodes: NodeProcess[], ledger: string) {
    this.#nodes = nodes
    this.ledger = ledger
  }

  static async start(name: string) {
    const ledger = join(folder, name)
    const args = ['--port', '0', '--redis', redis.url, '--ledger', ledger]
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

  async client(
    mode: (typeof MODES)[number][1],
    answer: () => Promise<string> = async () => '',
    through: FetchLike = this.fetch,
  ) {
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

describe.each(MODES)('the official client, %s', (name, mode) => {
  test('a call with progress outlives its node, and each step is done once', async () => {
    await using pair = await Pair.start(`steps-${name}`)
    const client = await pair.client(mode)
    const steps = 6
    const heard: number[] = []
    const calling = client.callTool(
      { name: 'ledger_steps', arguments: { id: 'x', steps, delayMs: 100 } },
      { onprogress: ({ progress }) => void heard.push(progress) },
    )
    await waitFor(() => heard.length >= 2)
    await pair.killFirst()
    const result = await calling
    expect(result.isError).toBeFalsy()
    expect(heard).toEqual(heard.toSorted((a, b) => a - b))
    expect(heard.at(-1)).toBe(steps)
    const done = await pair.done()
    expect(new Set(done)).toEqual(new Set(Array.from({ length: steps }, (_, n) => `step-${n + 1}`)))
    // A step that was under way when its node died is done again.
    expect(done.length).toBeLessThanOrEqual(steps + 1)
    expect([...pair.versions]).toEqual(['2026-07-28'])
    await client.close()
  })

  test('a question is answered at another node when the one that asked is dead', async () => {
    await using pair = await Pair.start(`ask-${name}`)
    let asked = 0
    const client = await pair.client(mode, async () => {
      if (++asked === 2) await pair.killFirst()
      return `answer ${asked}`
    })
    const result = await client.callTool({ name: 'ledger_ask', arguments: { id: 'x', questions: 3 } })
    expect(result.isError).toBeFalsy()
    expect(asked).toBe(3)
    expect(await pair.done()).toEqual(['note-1', 'note-2', 'note-3'])
    await client.close()
  })
})

test('with durableFetch, a call whose answer never began is sent again, and joins the first', async () => {
  await using pair = await Pair.start('again')
  let sent = 0
  const losing: FetchLike = async (url, init) => {
    const isCall = typeof init?.body === 'string' && init.body.includes('ledger_steps')
    const answered = pair.fetch(url, init)
    if (!isCall || ++sent > 1) return answered
    // Nothing of the answer comes through before the node is dead.
    await waitFor(async () => (await pair.done()).length >= 2)
    await pair.killFirst()
    await answered.then((response) => response.text()).catch(() => undefined)
    throw new TypeError('fetch failed')
  }
  const client = await pair.client({ pin: '2026-07-28' }, undefined, durableFetch({ fetch: losing }))
  const steps = 5
  const calling = { name: 'ledger_steps', arguments: { id: 'x', steps, delayMs: 100 } }
  const result = await client.callTool(calling)
  expect(result.isError).toBeFalsy()
  expect(sent).toBe(2)
  const done = await pair.done()
  expect(new Set(done).size).toBe(steps)
  expect(done.length).toBeLessThanOrEqual(steps + 1)
  await client.close()
})
