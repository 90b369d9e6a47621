import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child, spawnNode, startRedis, waitFor } from '../test-support/index.js'
import type { NodeProcess, RedisServer } from '../test-support/index.js'
import { Router } from './support/router.js'

// FastMCP's client, which is not ours and takes tasks (2026-07-28), through the death of the node that runs its task. It comes
// from PyPI: where there is none, this does not run.

const PYTHON = process.env['FASTMCP_PYTHON'] ?? 'python3'
const HOW_TO_RUN = `${PYTHON} has no fastmcp-tasks: pip install fastmcp==4.1.4 fastmcp-tasks==4.1.4, FASTMCP_PYTHON=<that python>`
const SCRIPT = fileURLToPath(new URL('../examples/python/fastmcp_client.py', import.meta.url))

const hasFastmcp = () => {
  try {
    execFileSync(PYTHON, ['-c', 'import fastmcp_tasks'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const isThere = hasFastmcp()
// Else whoever reads the report finds out why it was skipped, and how to have it.
const title = isThere ? '' : `, skipped: ${HOW_TO_RUN}`

type Told = { text: string; isError: boolean }

describe.skipIf(!isThere)(`FastMCP${title}`, () => {
  let redis: RedisServer
  let folder: string
  beforeAll(async () => {
    redis = await startRedis()
    folder = await mkdtemp(join(tmpdir(), 'mcp-durable-fastmcp-'))
  })
  afterAll(async () => {
    await redis[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Two nodes behind a router, and what their tools did. */
  class Pair implements AsyncDisposable {
    readonly gate = join(folder, `gate-${randomUUID()}`)
    readonly ledger = join(folder, `ledger-${randomUUID()}`)
    readonly #nodes: (NodeProcess & { name: string })[] = []
    #router: Router | undefined

    static async start(): Promise<Pair> {
      const pair = new Pair()
      const args = ['--port', '0', '--redis', redis.url, '--ledger', pair.ledger]
      const start = () => spawnNode('examples/dist/everything.js', args)
      for (const node of await Promise.all([start(), start()]))
        pair.#nodes.push(Object.assign(node, { name: String(node.pid) }))
      pair.#router = await Router.start(...pair.#nodes)
      return pair
    }

    get router(): Router {
      return this.#router!
    }

    get nodes() {
      const [a, b] = this.#nodes
      return [a!, b!] as const
    }

    async steps(): Promise<{ step: string; pid: number }[]> {
      const text = await readFile(this.ledger, 'utf8').catch(() => '')
      const lines = text.split('\n').filter(Boolean)
      return lines.map((line) => ({ step: line.split(' ')[2] ?? '', pid: Number(line.split(' ')[3]) }))
    }

    /** Calls a tool; the client answers what it is asked when the gate is there. */
    async call(tool: string, args: object) {
      const url = this.router.url.href
      const child = await Child.spawn(PYTHON, [SCRIPT, url, tool, JSON.stringify(args), this.gate])
      const told = child.waitForLine(/^(\{"text".*)$/).then(([line]) => JSON.parse(line) as Told)
      told.catch(() => undefined)
      const asked = () => [...child.output.matchAll(/^\{"asked": "(.*)"\}$/gm)].map(([, what]) => what)
      return { told, asked, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() }
    }

    async [Symbol.asyncDispose]() {
      await this.#router?.[Symbol.asyncDispose]()
      await Promise.all(this.#nodes.map((node) => node.kill('SIGKILL')))
    }
  }

  test('has its result when the node is killed that runs its task', async () => {
    await using pair = await Pair.start()
    const steps = 8
    await using call = await pair.call('ledger_steps', { id: 'x', steps, delayMs: 400 })
    const owner = await waitFor(async () => (await pair.steps())[2]?.pid)
    const [a, b] = pair.nodes
    const [victim, survivor] = a.pid === owner ? [a, b] : [b, a]
    await victim.kill('SIGKILL')
    expect(await call.told).toMatchObject({ isError: false })
    const done = await pair.steps()
    expect(new Set(done.map(({ step }) => step)).size).toBe(steps)
    // One may have been under way when its node died.
    expect(done.length).toBeLessThanOrEqual(steps + 1)
    expect(new Set(done.map(({ pid }) => pid))).toEqual(new Set([owner, survivor.pid]))
    expect(pair.router.nodesOf('tasks/get')).not.toEqual([])
  })

  test.each([
    ['confirm_delete', { filename: 'x' }, ['Delete x?'], 'Deleted x'],
    ['multi_input', {}, ['The first?', 'The second?'], 'accept and accept'],
  ])(
    'is asked once by %s, and its answers get there when the node is dead',
    async (tool, args, asked, text) => {
      await using pair = await Pair.start()
      const [a, b] = pair.nodes
      pair.router.others(b).route(a, 'tools/call')
      await using call = await pair.call(tool, args)
      await waitFor(() => call.asked().length > 0)
      await a.kill('SIGKILL')
      await writeFile(pair.gate, '')
      expect(await call.told).toMatchObject({ text, isError: false })
      expect(new Set(call.asked())).toEqual(new Set(asked))
      expect(call.asked()).toHaveLength(asked.length)
    },
  )

  test('is told of an error of a tool', async () => {
    await using pair = await Pair.start()
    await using call = await pair.call('failing_job', {})
    expect(await call.told).toEqual(expect.objectContaining({ text: 'The job has failed', isError: true }))
    expect(existsSync(pair.gate)).toBe(false)
  })
})
