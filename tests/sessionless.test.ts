import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike } from '@mcp-durable/core/client'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis, waitFor } from '../test-support/index.js'
import type { RedisServer } from '../test-support/index.js'
import { Pair } from './support/pair.js'
import type { Mode } from './support/pair.js'

// The official client in protocol 2026-07-28, and nodes that are killed under it.

const MODES: [name: string, mode: Mode][] = [
  ['pinned', { pin: '2026-07-28' }],
  ['auto', 'auto'],
]

let redis: RedisServer
let reading: Redis
let folder: string
beforeAll(async () => {
  redis = await startRedis()
  reading = new Redis(redis.url)
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-sessionless-'))
})
afterAll(async () => {
  reading.disconnect()
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const startPair = (name: string) => Pair.start({ redis: redis.url, ledger: join(folder, name) })

describe.each(MODES)('the official client, %s', (name, mode) => {
  test('a call with progress outlives its node, and each step is done once', async () => {
    await using pair = await startPair(`steps-${name}`)
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
    await using pair = await startPair(`ask-${name}`)
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

  test('a call that the client aborts is cancelled, on its node, and its handler stops', async () => {
    await using pair = await startPair(`abort-${name}`)
    const client = await pair.client(mode)
    const abort = new AbortController()
    const heard: number[] = []
    const calling = client.callTool(
      { name: 'ledger_steps', arguments: { id: 'x', steps: 100, delayMs: 300 } },
      { signal: abort.signal, onprogress: ({ progress }) => void heard.push(progress) },
    )
    await waitFor(() => heard.length >= 2)
    abort.abort()
    await expect(calling).rejects.toThrow()
    const inspect = inspectRedis(reading)
    const ended = async () => {
      for await (const calls of inspect.calls.all())
        for (const place of calls) if ((await inspect.calls.read(place))?.owner !== undefined) return false
      return true
    }
    await waitFor(ended, { what: 'the call has ended' })
    const done = await pair.done()
    expect(done.length).toBeLessThan(100)
    const other = await client.callTool({
      name: 'ledger_steps',
      arguments: { id: 'y', steps: 3, delayMs: 50 },
    })
    expect(other.isError).toBeFalsy()
    // One may have been under way.
    expect((await pair.done()).length).toBeLessThanOrEqual(done.length + 1 + 3)
    await client.close()
  })

  test('a client that listens goes on hearing changes when the node is dead on which it did', async () => {
    await using pair = await startPair(`listen-${name}`)
    const client = await pair.client(mode)
    let changes = 0
    client.setNotificationHandler('notifications/tools/list_changed', () => void changes++)
    const subscription = await client.listen({ toolsListChanged: true })
    expect(subscription.honoredFilter).toEqual({ toolsListChanged: true })
    const change = { name: 'test_trigger_tool_change', arguments: {} }
    await client.callTool(change)
    await waitFor(() => changes === 1)
    await pair.killFirst()
    await client.callTool(change)
    await waitFor(() => changes >= 2)
    expect(changes).toBe(2)
    await subscription.close()
    await client.close()
  })
})

test('with durableFetch, a call whose answer never began is sent again, and joins the first', async () => {
  await using pair = await startPair('again')
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
