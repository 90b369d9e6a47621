import { durable, durableTool, sessionIdOf } from '@mcp-durable/core'
import type { Durable, DurableOptions, Store } from '@mcp-durable/core'
import { RunRefusedError } from '@mcp-durable/core/errors'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace } from '@mcp-durable/core/runs'
import { isParked as isNobodys } from '@mcp-durable/core/store'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { z } from 'zod'
import { startRedis, waitFor, type RedisServer } from '../../test-support/index.js'

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
export const QUESTION = {
  message: 'Which colour?',
  requestedSchema: { type: 'object', properties: {} },
} as const
/** Every command is a process. */

export let redis: RedisServer
export let client: Redis
export let store: Store
export let nodes: Durable[]
/** What tools did, in their order. */
export const did: string[] = []
/** `book` fails in its last step. */
export const book = { isBroken: true }

/** Two nodes over a Redis, for the tests of a file. */
export function useRuns() {
  beforeAll(async () => {
    redis = await startRedis()
    client = new Redis(redis.url)
    store = redisStore(client)
    nodes = [node(), node()]
  })
  beforeEach(() => {
    did.length = 0
    book.isBroken = true
  })
  afterAll(async () => {
    await Promise.all(nodes.map((mcp) => mcp.close({ graceMs: 0 })))
    await store.close()
    client.disconnect()
    await redis[Symbol.asyncDispose]()
  })
}

export function node({
  server = createServer,
  ...options
}: Partial<DurableOptions> & { server?: () => McpServer } = {}): Durable {
  return durable({
    store: redisStore(client),
    principal: ({ headers }) => headers.get('x-user') ?? undefined,
    logger: { error() {}, warn() {}, info() {}, debug() {} },
    serverIdleMs: 200,
    ...options,
    server: () => server(),
  } as DurableOptions)
}

export function createServer(): McpServer {
  const server = new McpServer({ name: 'runs', version: '1' })
  const ask = durableTool(async (_args, ctx) => {
    const { action } = await ctx.elicit('colour', QUESTION)
    return { content: [{ type: 'text' as const, text: action }] }
  })
  const run = durableTool(async (_args, ctx) => {
    did.push('began')
    await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    did.push(`stopped: ${(ctx.signal.reason as Error).message}`)
    return { content: [] }
  })
  const nap = durableTool(async (_args, ctx) => {
    await ctx.sleep('a while', 3_600_000)
    did.push('woke')
    await ctx.sleep('again', 3_600_000)
    did.push('woke again')
    return { content: [] }
  })
  // Three kinds of steps; fails in the last one unless it is told not to.
  const booking = durableTool(async (_args, ctx) => {
    const hold = await ctx.atLeastOnce('hold', () => did.push('hold'))
    const id = await ctx.uuid7('id')
    await ctx.atMostOnce('charge', () => did.push(`charge ${hold}`))
    await ctx.sleep('a moment', 1)
    const confirm = () => {
      did.push('confirm')
      if (book.isBroken) throw new Error('broken')
    }
    await ctx.atLeastOnce('confirm', confirm, { attempts: 1 })
    return { content: [{ type: 'text' as const, text: id }] }
  })
  server.registerTool('book', { inputSchema: { table: z.number().optional() } }, booking)
  server.registerTool('gone', { inputSchema: {} }, () => {
    did.push('gone')
    return { content: [], isError: true }
  })
  server.registerTool('hangs', { inputSchema: {} }, async (_args, { signal }) => {
    did.push('hangs')
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return { content: [] }
  })
  const beside = durableTool(async (_args, ctx) => {
    for (const key of ['a', 'b']) await ctx.atLeastOnce('item', () => did.push(`item ${key}`), { key })
    const first = ctx.atMostOnce('first', async () => {
      did.push('first')
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    })
    await ctx.atLeastOnce('second', () => did.push('second'))
    await ctx.sleep('third', 3_600_000)
    await first
    return { content: [] }
  })
  server.registerTool('beside', { inputSchema: {} }, beside)
  server.registerTool('ask', { inputSchema: {} }, ask)
  server.registerTool('run', { inputSchema: {} }, run)
  server.registerTool('nap', { inputSchema: {} }, nap)
  server.registerTool('fine', { inputSchema: {} }, () => ({ content: [] }))
  server.registerTool('fails', { inputSchema: {} }, () => ({ content: [], isError: true }))
  return server
}

export type Opened = CallPlace & { ended: Promise<string> }

export async function opened(response: Response, scope?: string): Promise<Opened> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const first = (await reader.read()).value ?? ''
  const callId = /^id: ([\w-]{22})\./m.exec(first)?.[1] ?? ''
  const rest = async () => {
    let text = first
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
    return text
  }
  const ended = rest()
  ended.catch(() => undefined)
  return { scope: scope ?? callId, callId, ended }
}

/** Without a session. */
export async function begin(name: string, { user, at = nodes[0]! }: { user?: string; at?: Durable } = {}) {
  const _meta = {
    [`${META}/protocolVersion`]: VERSION,
    [`${META}/clientCapabilities`]: { elicitation: {} },
    [`${META}/clientInfo`]: { name: 'someone', version: '1' },
  }
  const headers = {
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': name,
    ...(user !== undefined && { 'x-user': user }),
  }
  return opened(
    await post(at, { id: 1, method: 'tools/call', params: { name, arguments: {}, _meta } }, headers),
  )
}

export function post(at: Durable, message: object, more: Record<string, string>) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...more,
  }
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  return at.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
}

/** In a session of its own. */
export async function beginInSession(name: string, at = nodes[0]!) {
  const clientInfo = { name: 'someone', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const response = await post(at, { id: 0, method: 'initialize', params }, {})
  await response.text()
  const session = response.headers.get('mcp-session-id') ?? ''
  const of = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
  await (await post(at, { method: 'notifications/initialized' }, of)).text()
  const call = { id: 1, method: 'tools/call', params: { name, arguments: {} } }
  return opened(await post(at, call, of), sessionIdOf(session))
}

export const runs = () => runsOf(store, { by: 'ann' })

export const ended = (call: CallPlace) =>
  waitFor(async () => {
    const [kind] = (await kindsOf(call)).slice(-1)
    return kind === 'response' || kind === 'cancelled'
  })
/** The last record, of a call that has ended. */
export const endOf = async (call: CallPlace) => {
  await ended(call)
  return (await recordsOf(call)).at(-1) ?? ''
}

export async function recordsOf({ scope, callId }: CallPlace): Promise<string[]> {
  const entries = await store.read(scope, `call:${callId}`, '0-0', 1000)
  return (entries ?? []).map(({ data }) => data)
}
export const kindsOf = async (call: CallPlace) =>
  (await recordsOf(call)).map((data) => /^\w+/.exec(data)?.[0])

export async function refusal(work: Promise<unknown>): Promise<RunRefusedError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RunRefusedError)
  return error as RunRefusedError
}

/** The ids and values of the steps that have ended. */
export async function endedSteps(call: CallPlace): Promise<string[]> {
  const records = (await recordsOf(call)).filter((data) => data.startsWith('step '))
  const steps = records.map((data) => JSON.parse(data.slice('step '.length)) as { id: string; phase: string })
  return steps.filter(({ id, phase }) => phase === 'done' && !id.startsWith('\n')).map(({ id }) => id)
}

/** Nobody owns it. */
export const isParked = async ({ scope, callId }: CallPlace) =>
  (await store.listOpenCalls(scope)).some((call) => call.callId === callId && isNobodys(call.owner))
