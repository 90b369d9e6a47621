import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike, RetryInfo } from '@mcp-durable/core/client'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, spawnNode, startRedis, waitFor } from '../test-support/index.js'
import type { RedisServer } from '../test-support/index.js'
import { Pair } from './support/pair.js'

// The official client, which knows no tasks, has those of nodes that are killed under it.

const PINNED = { pin: '2026-07-28' } as const
const EXTENSION = 'io.modelcontextprotocol/tasks'

let redis: RedisServer
let folder: string
beforeAll(async () => {
  redis = await startRedis()
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-tasks-client-'))
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const startPair = (name: string) => Pair.start({ redis: redis.url, ledger: join(folder, name) })

/** What goes to the nodes through `durableFetch({ tasks: true })`, and what of it is about tasks. */
function watched(send: FetchLike, onRetry: (retry: RetryInfo) => void = () => undefined) {
  const sent: { method: string; taskId: unknown; declares: boolean }[] = []
  const fetch: FetchLike = (url, init) => {
    if (typeof init?.body === 'string') {
      const { method, params } = JSON.parse(init.body) as { method: string; params?: { taskId?: unknown } }
      sent.push({ method, taskId: params?.taskId, declares: init.body.includes(EXTENSION) })
    } else sent.push({ method: init?.method ?? 'GET', taskId: undefined, declares: false })
    return send(url, init)
  }
  const of = (method: string) => sent.filter((one) => one.method === method)
  return { fetch: durableFetch({ tasks: true, fetch, onRetry }), sent, of }
}

const stepsOf = (count: number) => Array.from({ length: count }, (_, n) => `step-${n + 1}`)

describe('the official client with tasks', () => {
  test('has the result of a task whose node is dead, and each step is done once', async () => {
    await using pair = await startPair('steps')
    const { fetch, of, sent } = watched(pair.fetch)
    const client = await pair.client(PINNED, undefined, fetch)
    const steps = 8
    const heard: number[] = []
    const calling = client.callTool(
      { name: 'ledger_steps', arguments: { id: 'x', steps, delayMs: 300 } },
      { onprogress: ({ progress }) => void heard.push(progress) },
    )
    await waitFor(() => of('tasks/get').length >= 1)
    await pair.killFirst()
    const result = await calling
    expect(result.isError).toBeFalsy()
    const done = await pair.done()
    expect(new Set(done)).toEqual(new Set(stepsOf(steps)))
    // A step that was under way when its node died is done again.
    expect(done.length).toBeLessThanOrEqual(steps + 1)
    expect(of('tools/call')).toHaveLength(1)
    expect(new Set(of('tasks/get').map(({ taskId }) => taskId)).size).toBe(1)
    expect(sent.every(({ method, declares }) => method === 'GET' || declares)).toBe(true)
    expect(heard).toEqual(heard.toSorted((a, b) => a - b))
    await client.close()
  })

  test('answers what a task asks at another node, and nothing twice', async () => {
    await using pair = await startPair('ask')
    const { fetch, of } = watched(pair.fetch)
    let asked = 0
    const client = await pair.client(PINNED, undefined, fetch)
    client.setRequestHandler('elicitation/create', async () => {
      if (++asked === 2) await pair.killFirst()
      return { action: 'accept', content: { confirm: true } }
    })
    const result = await client.callTool({ name: 'confirm_delete', arguments: { filename: 'x' } })
    expect(result.content).toEqual([{ type: 'text', text: 'Deleted x' }])
    expect(of('tasks/update')).toHaveLength(1)
    const both = await client.callTool({ name: 'multi_input', arguments: {} })
    expect(both.content).toEqual([{ type: 'text', text: 'accept and accept' }])
    expect(asked).toBe(3)
    expect(of('tools/call')).toHaveLength(2)
    await client.close()
  })

  test('asks before the task, and after', async () => {
    await using pair = await startPair('before')
    const { fetch, of } = watched(pair.fetch)
    const client = await pair.client(PINNED, undefined, fetch)
    client.setRequestHandler('elicitation/create', async () => ({
      action: 'accept',
      content: { name: 'Ann' },
    }))
    const result = await client.callTool({ name: 'test_tool_with_task', arguments: {} })
    expect(result.content).toEqual([{ type: 'text', text: 'Hello, {"name":"Ann"}!' }])
    expect(of('tools/call')).toHaveLength(2)
    await client.close()
  })

  test('makes one task of a call whose answer never began', async () => {
    await using pair = await startPair('again')
    let calls = 0
    const losing: FetchLike = async (url, init) => {
      const isCall = typeof init?.body === 'string' && init.body.includes('"tools/call"')
      const answered = pair.fetch(url, init)
      if (!isCall || ++calls > 1) return answered
      // It is a task by then, and nobody has heard of it.
      await answered.then((response) => response.text())
      await pair.killFirst()
      throw new TypeError('fetch failed')
    }
    const { fetch, of } = watched(losing)
    const client = await pair.client(PINNED, undefined, fetch)
    const steps = 6
    const calling = { name: 'ledger_steps', arguments: { id: 'x', steps, delayMs: 300 } }
    expect((await client.callTool(calling)).isError).toBeFalsy()
    expect(of('tools/call')).toHaveLength(2)
    const done = await pair.done()
    expect(new Set(done)).toEqual(new Set(stepsOf(steps)))
    expect(done.length).toBeLessThanOrEqual(steps + 1)
    await client.close()
  })

  test('resumes the stream that breaks before its task', async () => {
    await using pair = await startPair('resume')
    const { fetch, of } = watched(pair.fetch)
    const client = await pair.client(PINNED, undefined, fetch)
    const steps = 6
    const calling = client.callTool({ name: 'ledger_steps', arguments: { id: 'x', steps, delayMs: 300 } })
    // It has run for less than it takes to become a task.
    await waitFor(() => of('tools/call').length === 1)
    await waitFor(async () => (await pair.done()).length >= 1, { intervalMs: 5 })
    await pair.killFirst()
    expect((await calling).isError).toBeFalsy()
    expect(of('tools/call')).toHaveLength(1)
    const done = await pair.done()
    expect(new Set(done)).toEqual(new Set(stepsOf(steps)))
    await client.close()
  })

  test('waits while the only node is restarted', async () => {
    const ledger = join(folder, 'restart')
    const args = ['--port', String(await freePort()), '--redis', redis.url, '--ledger', ledger]
    const start = () => spawnNode('examples/dist/everything.js', args)
    await using node = await start()
    let failed = 0
    const { fetch, of } = watched(
      (url, init) => globalThis.fetch(url, init),
      (retry) => (failed = retry.failed),
    )
    const client = new Client({ name: 'x', version: '1' }, { versionNegotiation: { mode: PINNED } })
    await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', node.url), { fetch }))
    const calling = client.callTool({ name: 'slow_compute', arguments: { seconds: 3, label: 'all of it' } })
    await waitFor(() => of('tasks/get').length === 1)
    await node.kill('SIGKILL')
    await waitFor(() => failed >= 3)
    await using again = await start()
    expect(again.url).toBe(node.url)
    expect((await calling).content).toEqual([{ type: 'text', text: 'all of it took 3 s' }])
    await client.close()
  })

  test('cancels the task when it is aborted, and its handler stops', async () => {
    await using pair = await startPair('abort')
    const { fetch, of } = watched(pair.fetch)
    const client = await pair.client(PINNED, undefined, fetch)
    const leave = new AbortController()
    const calling = client.callTool(
      { name: 'ledger_steps', arguments: { id: 'x', steps: 100, delayMs: 300 } },
      { signal: leave.signal },
    )
    await waitFor(() => of('tasks/get').length >= 1)
    leave.abort()
    await expect(calling).rejects.toThrow()
    await waitFor(() => of('tasks/cancel').length === 1)
    const [{ taskId } = { taskId: '' }] = of('tasks/cancel')
    const status = async () => {
      const task = (await client.request({ method: 'tasks/get', params: { taskId } }, {
        '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
      } as never)) as { status: string }
      return task.status
    }
    await waitFor(async () => (await status()) === 'cancelled')
    const done = (await pair.done()).length
    const other = { name: 'ledger_steps', arguments: { id: 'y', steps: 3, delayMs: 300 } }
    expect((await client.callTool(other)).isError).toBeFalsy()
    // One may have been under way.
    expect((await pair.done()).length).toBeLessThanOrEqual(done + 1 + 3)
    await client.close()
  })

  test('has no tasks in a session, and says nothing of them there', async () => {
    await using pair = await startPair('session')
    const { fetch, sent, of } = watched(pair.fetch)
    const client = await pair.client('legacy', undefined, fetch)
    const calling = { name: 'ledger_steps', arguments: { id: 'x', steps: 3, delayMs: 300 } }
    expect((await client.callTool(calling)).isError).toBeFalsy()
    expect(of('tasks/get')).toEqual([])
    expect(sent.some(({ declares }) => declares)).toBe(false)
    await client.close()
  })
})
