import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRequire } from 'node:module'
import { StreamableHTTPTransport } from '@hono/mcp'
import { durable, type Served } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { FastMCP } from 'fastmcp'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { freePort, spawnNode, waitFor } from '../test-support/index.js'

// Servers that were not written here, unchanged, behind two nodes.

const QUICK = { retryMs: 20, heartbeatMs: 100, sweepMs: 100, validateEffects: false }
const resolve = createRequire(import.meta.url).resolve

/** Two nodes of this process over one Redis, and the official client, which asks them in turn. */
class Two implements AsyncDisposable {
  readonly client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} } })
  readonly questions: string[] = []
  readonly #redis = new Redis(process.env['REDIS_URL'] ?? '')
  readonly #nodes: { url: string; close(): Promise<void> }[] = []
  /** The nodes that were asked, in order, and for what. */
  readonly asked: { node: number; method: string }[] = []
  #turn = 0
  #left = new Set<number>()

  static async start(served: () => Served): Promise<Two> {
    const two = new Two()
    const prefix = `test-${randomUUID()}`
    for (let n = 0; n < 2; n++) {
      const mcp = durable({ ...served(), ...QUICK, store: redisStore(two.#redis, { prefix }) })
      const http = createServer(node(mcp))
      http.listen(0, '127.0.0.1')
      await once(http, 'listening')
      const close = async () => {
        await mcp.close({ graceMs: 0 })
        http.close()
        http.closeAllConnections()
      }
      two.#nodes.push({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, close })
    }
    two.client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      two.questions.push(params.message)
      return { action: 'accept', content: { name: 'Ada', check: true } }
    })
    const transport = new StreamableHTTPClientTransport(new URL(two.#nodes[0]!.url), {
      fetch: (_url, init) => two.#fetch(init),
    })
    await two.client.connect(transport)
    return two
  }

  async call(name: string, args: Record<string, unknown>, onprogress?: (progress: number) => void) {
    const options = onprogress && { onprogress: ({ progress }: { progress: number }) => onprogress(progress) }
    const { content } = await this.client.callTool({ name, arguments: args }, undefined, options)
    return (content as { text?: string }[]).map(({ text }) => text).join('\n')
  }

  /** The node that took the newest call leaves at once; the other one goes on. */
  async leave() {
    const at = this.asked.findLast(({ method }) => method === 'tools/call')?.node ?? 0
    this.#left.add(at)
    await this.#nodes[at]!.close()
  }

  #fetch(init?: RequestInit) {
    const living = [0, 1].filter((n) => !this.#left.has(n))
    const at = living[this.#turn++ % living.length]!
    const { method = 'GET' } = init?.body
      ? (JSON.parse(init.body as string) as { method?: string })
      : { method: init?.method ?? 'GET' }
    this.asked.push({ node: at, method })
    return fetch(this.#nodes[at]!.url, init)
  }

  async [Symbol.asyncDispose]() {
    await this.client.close()
    for (const [n, { close }] of this.#nodes.entries()) if (!this.#left.has(n)) await close()
    this.#redis.disconnect()
  }
}

async function startOther(file: string, args: string[] = [], port = 0) {
  const preload = new URL('support/on-loopback.mjs', import.meta.url).href
  return spawnNode(resolve(file), args, {
    env: { NODE_OPTIONS: `--import ${preload}`, LISTEN_PORT: String(port) },
  })
}

const example = (name: string) => `@modelcontextprotocol/sdk/examples/server/${name}.js`

test.each(['simpleStreamableHttp', 'jsonResponseStreamableHttp', 'simpleStatelessStreamableHttp'])(
  '[I-6] the example %s of the SDK',
  async (name) => {
    await using other = await startOther(example(name))
    await using two = await Two.start(() => ({ upstream: `${other.url}/mcp` }))
    const { tools } = await two.client.listTools()
    expect(tools.length).toBeGreaterThan(0)
    if (name === 'simpleStatelessStreamableHttp') {
      const { messages } = await two.client.getPrompt({
        name: 'greeting-template',
        arguments: { name: 'Ada' },
      })
      expect(JSON.stringify(messages)).toContain('Ada')
    } else {
      for (const who of ['Ada', 'Bob', 'Eve'])
        expect(await two.call('greet', { name: who })).toBe(`Hello, ${who}!`)
    }
  },
)

test('[I-6] server-everything: a node leaves in a call, and it goes on', async () => {
  await using other = await startOther('@modelcontextprotocol/server-everything/dist/index.js', [
    'streamableHttp',
  ])
  await using two = await Two.start(() => ({ upstream: `${other.url}/mcp` }))
  expect(await two.call('echo', { message: 'hi' })).toBe('Echo: hi')
  expect(await two.call('trigger-elicitation-request', {})).toMatch(/Ada/)
  expect(two.questions).toHaveLength(1)

  const seen: number[] = []
  const args = { duration: 2, steps: 10 }
  const running = two.call('trigger-long-running-operation', args, (progress) => void seen.push(progress))
  await waitFor(() => seen.length >= 3)
  await two.leave()
  expect(await running).toMatch(/completed/)
  // Its event store replays the events of all streams on whichever stream is resumed, its standalone one too.
  expect([...new Set(seen)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

test('[I-6] server-everything: it is restarted, and the session goes on', async () => {
  const file = '@modelcontextprotocol/server-everything/dist/index.js'
  const port = await freePort()
  const first = await startOther(file, ['streamableHttp'], port)
  const upstream = `${first.url}/mcp`
  await using two = await Two.start(() => ({ upstream }))
  expect(await two.call('echo', { message: 'before' })).toBe('Echo: before')
  await first.kill('SIGKILL')
  await using second = await startOther(file, ['streamableHttp'], port)
  expect(`${second.url}/mcp`).toBe(upstream)
  // It answers 400, not 404, to a session it does not know.
  expect(await two.call('echo', { message: 'after' })).toBe('Echo: after')
})

test('[I-6] fastmcp', async () => {
  const server = new FastMCP({ name: 'fast', version: '1.0.0' })
  server.addTool({
    name: 'count',
    description: 'Counts',
    parameters: z.object({ to: z.number() }),
    execute: async ({ to }, { reportProgress }) => {
      for (let progress = 1; progress <= to; progress++) await reportProgress({ progress, total: to })
      return `counted to ${to}`
    },
  })
  const port = await freePort()
  await server.start({ transportType: 'httpStream', httpStream: { port, host: '127.0.0.1' } })
  try {
    await using two = await Two.start(() => ({ upstream: `http://127.0.0.1:${port}/mcp` }))
    const seen: number[] = []
    for (let n = 0; n < 2; n++)
      expect(await two.call('count', { to: 3 }, (progress) => void seen.push(progress))).toBe('counted to 3')
    expect(seen).toEqual([1, 2, 3, 1, 2, 3])
  } finally {
    await server.stop()
  }
})

test('[I-6] @hono/mcp: a node leaves in a call, and it goes on', async () => {
  const runs: number[] = []
  let made = 0
  const app = () => {
    const id = made++
    const sessions = new Map<string, StreamableHTTPTransport>()
    return new Hono().all('/mcp', async (context) => {
      const known = sessions.get(context.req.header('mcp-session-id') ?? '')
      if (known) return known.handleRequest(context)
      const transport = new StreamableHTTPTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (session) => void sessions.set(session, transport),
      })
      const server = new McpServer({ name: 'hono', version: '1' }, { capabilities: { logging: {} } })
      const annotations = { idempotentHint: true }
      server.registerTool('look', { annotations }, async () => {
        runs.push(id)
        if (runs.length === 1) await new Promise(() => undefined)
        return { content: [{ type: 'text', text: `looked by ${id}` }] }
      })
      await server.connect(transport)
      return transport.handleRequest(context)
    })
  }
  await using two = await Two.start(() => {
    const existing = app()
    return { handler: async (request) => existing.fetch(request) }
  })
  const looking = two.call('look', {})
  await waitFor(() => runs.length === 1)
  await two.leave()
  expect(await looking).toBe(`looked by ${1 - runs[0]!}`)
  expect(runs).toHaveLength(2)
})
