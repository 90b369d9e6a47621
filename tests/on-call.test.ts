import { durable, durableTool } from '@mcp-durable/core'
import type { Durable, Store } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { cli, json, out } from '../packages/cli/test/support/cli.js'
import { startRedis, waitFor, type RedisServer } from '../test-support/index.js'

// A person on call, and calls of clients without sessions (2026-07-28): how they are found, read, counted and deleted.

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
const QUESTION = { message: 'Which colour?', requestedSchema: { type: 'object', properties: {} } } as const

let redis: RedisServer
let client: Redis
let store: Store
let nodes: Durable[]
let finish: () => void
const work = new Promise<void>((resolve) => (finish = resolve))

beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url)
  store = redisStore(client)
  nodes = [node(), node()]
})
afterAll(async () => {
  finish()
  await Promise.all(nodes.map((mcp) => mcp.close({ graceMs: 0 })))
  await store.close()
  client.disconnect()
  await redis[Symbol.asyncDispose]()
})

/** Every command is a process. */

afterEach(async () => {
  for await (const calls of inspectRedis(client).calls.all())
    for (const { scope } of calls) await store.forget({ scope })
})

function node(): Durable {
  return durable({
    server: () => createServer(),
    store: redisStore(client),
    principal: ({ headers }) => headers.get('x-user') ?? undefined,
    logger: { error() {}, warn() {}, info() {}, debug() {} },
  })
}

function createServer(): McpServer {
  const server = new McpServer({ name: 'on-call', version: '1' })
  const ask = durableTool(async (_args, ctx) => {
    await ctx.atMostOnce('note', () => undefined)
    const { action } = await ctx.elicit('colour', QUESTION)
    return { content: [{ type: 'text' as const, text: action }] }
  })
  const run = durableTool(async (_args, ctx) => {
    await ctx.atLeastOnce('work', async () => {
      await work
    })
    return { content: [] }
  })
  server.registerTool('ask', { inputSchema: {} }, ask)
  server.registerTool('run', { inputSchema: {} }, run)
  return server
}

type Response = {
  result: { requestState: string; inputRequests: Record<string, unknown>; resultType: string }
}

async function post(name: string, user: string | undefined, more: object = {}, at = 0) {
  const _meta = {
    [`${META}/protocolVersion`]: VERSION,
    [`${META}/clientCapabilities`]: { elicitation: {} },
    [`${META}/clientInfo`]: { name: 'someone', version: '1' },
  }
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': name,
    ...(user !== undefined && { 'x-user': user }),
  }
  const params = { name, arguments: {}, _meta, ...more }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  return nodes[at]!.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
}

/** The message that its stream ends with, and the call: the beginning of the ids of its events. */
async function last(response: globalThis.Response): Promise<{ callId: string; message: Response }> {
  const text = await response.text()
  const callId = /^id: ([\w-]{22})\./m.exec(text)?.[1] ?? ''
  const data = /^data: (.+)$/gm
  const messages = [...text.matchAll(data)].map(([, message = '']) => message)
  return { callId, message: JSON.parse(messages.at(-1) ?? '') as Response }
}

const askAs = async (user: string | undefined) => last(await post('ask', user))
const short = (id: string) => `${id.slice(0, 6)}…`

/** Runs until the test ends, or it is deleted. */
async function runAs(user: string | undefined) {
  const { body } = await post('run', user)
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value = '' } = await reader.read()
  return { callId: /^id: ([\w-]{22})\./m.exec(value)?.[1] ?? '', reader }
}

type Listed = { calls: { call: string; session?: string; status: string; principal?: string }[] }
const listed = (...args: string[]) => json<Listed>(redis.url, 'calls', '--full-ids', ...args)

test('open calls are listed with whose they are and what they wait for, and each is found by its id', async () => {
  const { callId: asking } = await askAs('ann')
  const { callId: running } = await runAs('bob')
  const { callId: nobodys } = await askAs(undefined)

  const { calls } = await listed()
  const of = (id: string) => calls.find(({ call }) => call === id)
  expect(of(asking)).toMatchObject({
    status: 'waiting',
    principal: 'ann',
    protocolVersion: VERSION,
    title: 'tools/call ask',
    attempt: 1,
  })
  expect(of(asking)?.session).toBeUndefined()
  expect(of(running)).toMatchObject({ status: 'running', principal: 'bob' })
  expect(of(nobodys)?.principal).toBeUndefined()
  expect((await listed('--status', 'waiting')).calls.map(({ call }) => call).toSorted()).toEqual(
    [asking, nobodys].toSorted(),
  )
  expect((await listed('--principal', 'ann')).calls.map(({ call }) => call)).toEqual([asking])

  const lines = (await out(redis.url, 'calls', '--principal', 'bob')).split('\n')
  expect(lines[0]).toMatch(/^CALL +WHAT +STATUS +SESSION +PROTOCOL +PRINCIPAL +RUN +OWNER +AGE +LAST$/)
  expect(lines[1]).toMatch(
    new RegExp(`^${short(running)} +tools/call run +running +- +${VERSION} +bob +1 +\\S+:\\d+ `),
  )
  const shown = await out(redis.url, 'call', short(running))
  expect(shown).toContain(`no session, protocol ${VERSION}, principal bob`)
  expect(shown).toContain('tools/call run opened on')
  expect(shown).toContain(', without a session')
  expect(await json(redis.url, 'call', running, '--full-ids')).toMatchObject({
    call: running,
    protocol: VERSION,
    principal: 'bob',
    status: 'open',
  })
  // There may be risks: it is a Redis for tests.
  const { stdout } = await cli(redis.url, 'doctor')
  expect(stdout).toContain('open calls: 0 open calls in 0 sessions, 3 without a session')
  const monitor = await json<{ calls: { call: string; session?: string; waits: boolean }[] }>(
    redis.url,
    'monitor',
    '--count',
    '1',
    '--full-ids',
  )
  const row = monitor.calls.find(({ call }) => call === asking)
  expect(row).toMatchObject({ waits: true, title: 'tools/call ask' })
  expect(row?.session).toBeUndefined()
})

test('its timeline tells of the question, the answer that another node took, and the end', async () => {
  const { callId, message } = await askAs('ann')
  const before = await out(redis.url, 'call', callId)
  expect(before).toContain('asks elicitation/create')
  expect(before).toContain('elicitation/create waits for its answer')
  const { requestState } = message.result
  const inputResponses = { colour: { action: 'accept', content: {} } }
  const { message: end } = await last(await post('ask', 'ann', { requestState, inputResponses }, 1))
  expect(end.result.resultType).toBe('complete')
  const { events, status } = await json<{ events: { kind: string }[]; status: string }>(
    redis.url,
    'call',
    callId,
  )
  expect(status).toBe('done')
  expect(events.map(({ kind }) => kind)).toEqual([
    'opened',
    'step-started',
    'step-done',
    'question',
    'step-done',
    'response',
  ])
  expect((await listed('--principal', 'ann')).calls).toEqual([])
  expect((await listed('--principal', 'ann', '--ended')).calls).toMatchObject([
    { call: callId, status: 'completed' },
  ])
  expect(await out(redis.url, 'tail', callId)).toContain('ends with a result')
})

test('a call is deleted by its id: its stream ends, and its handler is aborted', async () => {
  const { callId, reader } = await runAs('bob')
  const { code, stderr } = await cli(redis.url, 'clear', short(callId))
  expect(code).toBe(1)
  expect(stderr).toContain(`Delete call ${short(callId)}?`)
  expect(await out(redis.url, 'clear', callId, '--yes')).toBe('deleted 1 call\n')
  await waitFor(async () => (await reader.read()).done)
  expect((await listed()).calls).toEqual([])
  const gone = await cli(redis.url, 'call', callId)
  expect(gone.stderr).toContain('there is no call')
})

test('forgetting a principal leaves nothing of their calls, open or ended, and nobody else loses any', async () => {
  const { callId: asking } = await askAs('ann')
  const { callId: ended, message } = await askAs('ann')
  const { requestState } = message.result
  await last(await post('ask', 'ann', { requestState, inputResponses: { colour: { action: 'decline' } } }))
  const { callId: others } = await askAs('bob')
  expect(await out(redis.url, 'clear', '--principal', 'ann', '--yes')).toMatch(/^deleted \d calls\n$/)
  const left = (await client.keys('mcp:*')).filter((key) => !key.includes(':once:'))
  for (const callId of [asking, ended]) expect(left.join()).not.toContain(callId)
  expect((await listed('--principal', 'bob')).calls).toMatchObject([{ call: others }])
  expect(await out(redis.url, 'clear', '--all', '--yes')).toBe('deleted 1 call\n')
  expect((await listed('--ended')).calls).toEqual([])
})

test('what nobody runs shows: a call that its node left behind, and one that waits without a node', async () => {
  const begin = (callId: string, owner: string) =>
    store.openCall({
      scope: callId,
      callId,
      owner,
      principal: 'ann',
      requestKeys: ['1'],
      data: `request ${JSON.stringify({ messages: [{ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'ask' } }], batch: false, protocol: VERSION, node: owner || 'x' })}`,
      ttlMs: 60_000,
      maxOpenCalls: 9,
      begins: { protocolVersion: VERSION },
    })
  await begin('left-behind-0000000000', 'a-node-that-is-gone')
  await begin('parked-000000000000000', '')
  const { calls } = await listed()
  expect(calls.map(({ call, status }) => `${call} ${status}`).toSorted()).toEqual([
    'left-behind-0000000000 orphaned',
    'parked-000000000000000 waiting',
  ])
  const { stdout } = await cli(redis.url, 'doctor')
  expect(stdout).toMatch(/RISK {2}orphaned calls: 1 call of nodes that are gone: left-b…/)
})
