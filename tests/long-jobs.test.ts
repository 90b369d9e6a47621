import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnNode, startRedis, waitFor } from '../test-support/index.js'
import type { NodeProcess, RedisServer } from '../test-support/index.js'

// Official clients that know no tasks begin a job, and are gone; its node dies, or leaves; new clients have its result from another node.

type Result = {
  content: { text: string }[]
  isError?: boolean
  structuredContent?: { taskId: string; status: string; statusMessage?: string }
}
type Agent = AsyncDisposable & { call(name: string, args: object): Promise<Result> }

const requestInit = { headers: { 'x-user': 'ann' } }
const about = { name: 'agent', version: '1' }
const endpoint = ({ url }: NodeProcess) => new URL(`${url}/mcp`)

const CLIENTS: Record<string, (node: NodeProcess) => Promise<Agent>> = {
  'SDK 1.x': async (node) => {
    const client = new Client(about)
    await client.connect(new StreamableHTTPClientTransport(endpoint(node), { requestInit }))
    return agent(client)
  },
  'SDK 2.x in a session': async (node) => {
    const client = new Client2(about)
    await client.connect(new Transport2(endpoint(node), { requestInit }))
    return agent(client)
  },
  'SDK 2.x of 2026-07-28': async (node) => {
    const client = new Client2(about, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
    await client.connect(new Transport2(endpoint(node), { requestInit }))
    return agent(client)
  },
}
const NAMES = Object.keys(CLIENTS)

type Official = {
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<object>
  close(): Promise<void>
}
const agent = (client: Official): Agent => ({
  call: async (name, args) => (await client.callTool({ name, arguments: { ...args } })) as Result,
  [Symbol.asyncDispose]: () => client.close(),
})

/** As an agent does that is begun, calls one tool, and ends. */
async function callAs(name: string, node: NodeProcess, tool: string, args: object): Promise<Result> {
  await using client = await CLIENTS[name]!(node)
  return await client.call(tool, args)
}

let redis: RedisServer
let folder: string
beforeAll(async () => {
  redis = await startRedis()
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-long-jobs-'))
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

class Nodes implements AsyncDisposable {
  readonly #prefix = `test-${randomUUID()}`
  readonly #ledger = join(folder, this.#prefix)
  readonly #all: NodeProcess[] = []

  async add(settings: object = {}): Promise<NodeProcess> {
    const options = JSON.stringify({ taskAfterMs: 100, ...settings })
    const node = await spawnNode('tests/dist/task-node.js', [redis.url, this.#prefix, this.#ledger, options])
    this.#all.push(node)
    return node
  }

  /** What was really done, in turn. */
  async done(): Promise<string[]> {
    const text = await readFile(this.#ledger, 'utf8').catch(() => '')
    return text.split('\n').filter((line) => line !== '')
  }

  letGo(id: string) {
    return writeFile(`${this.#ledger}-${id}`, '')
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#all.map((node) => node.kill('SIGKILL')))
  }
}

/** Of a task from its start, when its first step is recorded: what is done, and not recorded, may be done again. */
async function reached(node: NodeProcess, taskId: string) {
  await using client = await CLIENTS['SDK 1.x']!(node)
  const isThere = async () => {
    const { structuredContent } = await client.call('task_status', { taskId })
    return structuredContent?.statusMessage === 'made'
  }
  await waitFor(isThere, { what: 'the first step' })
}

const ALL_STEPS = ['job make', 'job pay', 'job tell']

describe.each(NAMES)('begun by %s', (name) => {
  test.each([
    ['auto', 'SIGKILL'],
    ['always', 'SIGKILL'],
    ['auto', 'SIGTERM'],
  ] as const)('a job (%s) outlives %s of its node, and each step is done once', async (tool, signal) => {
    await using nodes = new Nodes()
    const [first, second] = await Promise.all([nodes.add(), nodes.add()])
    const begun = await callAs(name, first, tool, { id: 'job' })
    const taskId = begun.structuredContent?.taskId ?? ''
    expect(begun.content[0]?.text).toContain(`task ${taskId}`)
    if (tool === 'always') await reached(second, taskId)
    expect(await nodes.done()).toHaveLength(1)
    await first.kill(signal)
    const working = await callAs(name, second, 'task_result', { taskId, waitMs: 0 })
    expect(working.structuredContent?.status).toBe('working')
    await nodes.letGo('job')
    // Whichever client asks.
    for (const other of NAMES) {
      const { content, isError } = await callAs(other, second, 'task_result', { taskId })
      expect([content[0]?.text, isError]).toEqual(['job undefined', undefined])
    }
    expect(await nodes.done()).toEqual(ALL_STEPS)
  })

  test('a job goes on when no node was left for a while', async () => {
    await using nodes = new Nodes()
    const first = await nodes.add()
    const { structuredContent } = await callAs(name, first, 'auto', { id: 'job' })
    const { taskId } = structuredContent!
    expect(await nodes.done()).toHaveLength(1)
    await first.kill('SIGKILL')
    await nodes.letGo('job')
    const next = await nodes.add()
    const { content } = await callAs(name, next, 'task_result', { taskId })
    expect(content[0]?.text).toBe('job undefined')
    expect(await nodes.done()).toEqual(ALL_STEPS)
  })
})

test('of 2026-07-28, a job is there when its nodes were away for longer than a session may be idle', async () => {
  const settings = { sessionTtlMs: 1000, resumeWindowMs: 500 }
  await using nodes = new Nodes()
  const first = await nodes.add(settings)
  const { structuredContent } = await callAs('SDK 2.x of 2026-07-28', first, 'auto', { id: 'job' })
  const { taskId } = structuredContent!
  expect(await nodes.done()).toHaveLength(1)
  await first.kill('SIGKILL')
  const before = Date.now()
  await waitFor(() => Date.now() - before > 2 * settings.sessionTtlMs)
  await nodes.letGo('job')
  const next = await nodes.add(settings)
  const { content } = await callAs('SDK 2.x of 2026-07-28', next, 'task_result', { taskId })
  expect(content[0]?.text).toBe('job undefined')
})
