import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ensurePython, freePort, spawnNode, spawnPython, waitFor } from '../test-support/index.js'
import type { NodeProcess } from '../test-support/index.js'
import { majors, TestClient, type Major } from './support/client.js'
import { Router } from './support/router.js'

// A server of Python's standard library, behind two processes of `mcp-durable proxy`.

const SERVER = fileURLToPath(new URL('python/server.py', import.meta.url))
const INSTALL_MS = 300_000

beforeAll(ensurePython, INSTALL_MS)

describe.each(majors)('[I-2] [I-9] a server in Python, client %i.x', (major) => {
  let system: Proxied
  beforeEach(async () => void (system = await Proxied.start(major)))
  afterEach(() => system[Symbol.asyncDispose]())

  test('its tools, their progress, and its questions, through either node', async () => {
    const { client, router, server } = system
    expect(await client.api.listTools()).toEqual(['count', 'book', 'open', 'runs'])
    const seen: number[] = []
    for (let n = 0; n < 2; n++) {
      const counted = await client.call('count', { to: 3 }, { onprogress: (progress) => seen.push(progress) })
      expect(counted).toEqual({ text: 'counted to 3', pid: server.pid })
    }
    expect(seen).toEqual([1, 2, 3, 1, 2, 3])
    expect((await client.call('book')).text).toBe('booked: accept')
    expect(client.questions.items).toHaveLength(1)
    expect(router.nodesOf('tools/call')).toHaveLength(2)
  })

  test('[I-3] a node dies in a call that asks: it is run once, asked once, and ends', async () => {
    const { client, router, nodes } = system
    const [victim, survivor] = nodes
    router.others(survivor!).route(victim!, 'tools/call')
    const booking = client.call('book', { gate: 'g' })
    await client.questions.atLeast(1)
    await router.answered('answer')
    await victim!.kill('SIGKILL')
    router.route(survivor!, 'tools/call')
    await client.call('open', { gate: 'g' })
    expect((await booking).text).toBe('booked: accept')
    expect((await client.call('runs', { name: 'book' })).text).toBe('1')
    expect(client.questions.items).toHaveLength(1)
  })

  test('[I-4] it is restarted in two calls: the one that only reads is run again, the other is not', async () => {
    const { client, server } = system
    const seen: number[] = []
    const counting = client.call(
      'count',
      { to: 3, gate: 'g' },
      { onprogress: (progress) => seen.push(progress) },
    )
    const booking = client.call('book', { gate: 'g' })
    await client.questions.atLeast(1)
    await waitFor(() => seen.length === 3)
    await server.kill('SIGKILL')
    await system.restart()
    await expect(booking).rejects.toThrow(/outcome is unknown/)
    await client.call('open', { gate: 'g' })
    expect(await counting).toEqual({ text: 'counted to 3', pid: system.server.pid })
    expect(seen).toEqual([1, 2, 3])
    const runs = ['count', 'book'].map((name) => client.call('runs', { name }))
    expect((await Promise.all(runs)).map(({ text }) => text)).toEqual(['1', '0'])
  })
})

/** The server, two proxies before it, and a client that uses them in turn. */
class Proxied implements AsyncDisposable {
  server!: NodeProcess
  nodes!: readonly (NodeProcess & { name: string })[]
  router!: Router
  client!: TestClient
  #port = 0

  static async start(major: Major): Promise<Proxied> {
    const system = new Proxied()
    system.#port = await freePort()
    await system.restart()
    const prefix = `test-${randomUUID()}`
    system.nodes = await Promise.all([1, 2].map(() => proxy(`${system.server.url}/mcp`, prefix)))
    system.router = await Router.start(...system.nodes)
    system.client = await TestClient.connect(major, system.router)
    return system
  }

  async restart() {
    this.server = await spawnPython(SERVER, [String(this.#port)])
  }

  async [Symbol.asyncDispose]() {
    await this.client[Symbol.asyncDispose]()
    await this.router[Symbol.asyncDispose]()
    for (const child of [...this.nodes, this.server]) await child.kill('SIGKILL')
  }
}

async function proxy(upstream: string, prefix: string) {
  const flags = ['--upstream', upstream, '--port', '0', '--prefix', prefix]
  const child = await spawnNode('packages/cli/dist/main.js', ['proxy', ...flags], {
    ready: /listening on (http:\/\/\S+),/,
  })
  return Object.assign(child, { name: String(child.pid) })
}
