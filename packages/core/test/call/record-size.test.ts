import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { durableTool, sessionState, sortedMap } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { startRedis, waitFor } from '../../../../test-support/index.js'

const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
const input = { size: z.number(), filler: z.string().optional() }

/** What is recorded by its name, or key. */
const NAMED: Record<string, (ctx: DurableContext, name: string) => Promise<unknown>> = {
  'a step by its name': (ctx, name) => ctx.atLeastOnce(name, () => 'value'),
  'a step by its key': (ctx, key) => ctx.atLeastOnce('s', () => 'value', { key }),
  'a step that is run once': (ctx, name) => ctx.atMostOnce(name, () => 'value'),
  'a step that fails': (ctx, name) =>
    ctx.atLeastOnce(name, () => Promise.reject(new Error(name)), { attempts: 1 }),
  'a time': (ctx, name) => ctx.now(name),
  'a sleep': (ctx, name) => ctx.sleep(name, 1),
  'a question': (ctx, name) => {
    const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
    return ctx.elicit(name, form, { timeoutMs: 1 })
  },
  'a change of state': (ctx, name) => ctx.state.set(1, { name }),
  'a handle': (ctx, name) => ctx.handle.create(name, { ttlMs: 60_000 }),
}

function server() {
  const made = new McpServer({ name: 'sizes', version: '1' }, { capabilities: { logging: {} } })
  const large = (size: number) => 'x'.repeat(size)
  made.registerTool('result', { inputSchema: input }, async ({ size }) => text(large(size)))
  made.registerTool('says', { inputSchema: input }, async ({ size }, extra) => {
    const params = { level: 'info', data: large(size) }
    await extra.sendNotification({ method: 'notifications/message', params } as ServerNotification)
    return text('went on')
  })
  const inContext = (name: string, work: (ctx: DurableContext, data: string) => Promise<unknown>) =>
    made.registerTool(
      name,
      { inputSchema: input },
      durableTool(async ({ size }: { size: number }, ctx) => {
        const error = await work(ctx as DurableContext, large(size)).catch((thrown: unknown) => thrown)
        return text(error instanceof Error ? `${error.name}: ${error.message}` : 'done')
      }),
    )
  inContext('step', (ctx, data) => ctx.atLeastOnce('a step', () => data, { retryable: [] }))
  inContext('state', (ctx, data) => ctx.state.set(data))
  for (const [what, begin] of Object.entries(NAMED))
    inContext(what, (ctx, data) => begin(ctx, data.replaceAll('x', '"')))
  inContext('told', (ctx, data) => ctx.info(data))
  inContext('map', async (ctx, data) => {
    const map = ctx.map('sizes')
    const refused = await map.insert({ key: Buffer.from(data) }).catch((thrown: unknown) => thrown)
    // What was refused has changed nothing, and is no change of this call.
    await map.insert({ key: Buffer.from(`instead of ${data.length}`) })
    return refused
  })
  return made
}

const errorOf = (message: JsonRpcMessage | undefined) =>
  (message as { error?: { message: string } } | undefined)?.error?.message
const nothingOpen = async ({ stores }: Nodes, { id }: Session) =>
  waitFor(async () => (await stores[0]!.listOpenCalls(id)).length === 0)
const settings = { maxRecordBytes: 10_000 }

describe.each(STORES)('what is larger than a record may be, %s', (store) => {
  test('a result, or a notification: the call ends with an error', async () => {
    await using nodes = await startNodes({ store, serverOf: () => server, settings })
    const session = await Session.begin(nodes)
    for (const name of ['result', 'says']) {
      const messages = await (await session.call(name, { size: 20_000 })).messages()
      expect(messages).toHaveLength(1)
      expect(errorOf(messages[0])).toMatch(/may have 10000 \(maxRecordBytes\)/)
    }
    await nothingOpen(nodes, session)
    expect(await session.result('says', { size: 5000 })).toBe('went on')
  })

  test('a step, a change of state, or what a context says: an error that the handler may catch', async () => {
    await using nodes = await startNodes({ store, serverOf: () => server, settings })
    const session = await Session.begin(nodes)
    expect(await session.result('step', { size: 20_000 })).toMatch(
      /^StepValueError: .*a step.*maxRecordBytes/,
    )
    expect(await session.result('step', { size: 5000 })).toBe('done')
    for (const name of ['state', 'told'])
      expect(await session.result(name, { size: 20_000 })).toMatch(/maxRecordBytes/)
  })

  test.each(Object.keys(NAMED))('%s: an error that the handler may catch', async (what) => {
    await using nodes = await startNodes({ store, serverOf: () => server, settings })
    const session = await Session.begin(nodes, { capabilities: { elicitation: {} } })
    // The first has room for the name, and none for an error that repeats it.
    for (const size of [4000, 20_000]) {
      const ended = await session.result(what, { size })
      expect(ended).toMatch(/maxRecordBytes|^done$/)
      expect(ended.length).toBeLessThan(1000)
    }
    await nothingOpen(nodes, session)
  })

  test('a change of a map: an error that the handler may catch', async () => {
    await using nodes = await startNodes({ store, serverOf: () => server, settings })
    const session = await Session.begin(nodes)
    expect(await session.result('map', { size: 20_000 })).toMatch(
      /^RecordTooLargeError: the change of the map sizes .*maxRecordBytes/,
    )
    const map = sortedMap(nodes.stores[0]!, 'sizes', settings)
    expect(Buffer.from((await map.get('key'))!).toString()).toBe('instead of 20000')
    await expect(map.insert({ a: Buffer.alloc(5000), b: Buffer.alloc(5000) })).rejects.toThrow(
      'maxRecordBytes',
    )
    await expect(map.remove(['a', 'x'.repeat(10_001)])).rejects.toThrow('maxRecordBytes')
    expect(await map.get('a')).toBeUndefined()
    await map.insert({ a: Buffer.alloc(5000) })
    const state = sessionState(nodes.stores[0]!, session.id, settings)
    await expect(state.set('x'.repeat(10_001))).rejects.toThrow(/the state default .*maxRecordBytes/)
    await state.set('x'.repeat(9000))
  })

  test('a request, or a message of the application, is refused', async () => {
    await using nodes = await startNodes({ store, serverOf: () => server, settings })
    const session = await Session.begin(nodes)
    const params = { name: 'result', arguments: { size: 1, filler: 'x'.repeat(20_000) } }
    const { error } = await expectRefused(await session.request('tools/call', params), 413)
    expect(error.message).toContain('maxRecordBytes')
    const notification = { method: 'notifications/message', params: { data: 'ü'.repeat(6000) } }
    await expect(nodes.mcp(0).notify(session.id, notification)).rejects.toThrow('maxRecordBytes')
  })
})

const MEGABYTE = 1024 * 1024

async function smallRedis(user: string[] = []) {
  const redis = await startRedis({ config: { 'proto-max-bulk-len': '1mb' } })
  const admin = new Redis(redis.url)
  if (user.length > 0) await admin.call('ACL', 'SETUSER', 'node', 'on', '>secret', '~*', '&*', ...user)
  const client = new Redis(redis.url, user.length > 0 ? { username: 'node', password: 'secret' } : {})
  let breaks = 0
  client.on('close', () => breaks++)
  client.on('error', () => undefined)
  const nodes = await startNodes({ wrap: () => redisStore(client), serverOf: () => server })
  return {
    nodes,
    breaks: () => breaks,
    async [Symbol.asyncDispose]() {
      await nodes[Symbol.asyncDispose]()
      client.disconnect()
      admin.disconnect()
      await redis[Symbol.asyncDispose]()
    },
  }
}

describe('a Redis that takes less than a record may have', () => {
  test('it is never sent more, and only the one call ends with an error', async () => {
    await using scene = await smallRedis()
    const session = await Session.begin(scene.nodes)
    const others = Array.from({ length: 50 }, async () =>
      textOf((await (await session.call('result', { size: 1 })).messages()).at(-1)),
    )
    for (const name of ['result', 'says']) {
      const messages = await (await session.call(name, { size: 2 * MEGABYTE })).messages()
      expect(errorOf(messages.at(-1))).toContain('the store refuses it')
    }
    expect(await session.result('step', { size: 2 * MEGABYTE })).toMatch(/^StepValueError/)
    expect(await session.result('state', { size: 2 * MEGABYTE })).toMatch(/refuses/)
    expect(await Promise.all(others)).toEqual(others.map(() => 'x'))
    expect(scene.breaks()).toBe(0)
    await nothingOpen(scene.nodes, session)
  })

  test('one that does not tell: the call ends, although the connection breaks', async () => {
    await using scene = await smallRedis(['+@all', '-config'])
    const session = await Session.begin(scene.nodes)
    const messages = await (await session.call('result', { size: 2 * MEGABYTE })).messages()
    expect(errorOf(messages.at(-1))).toContain('the store refuses it')
    expect(await session.result('result', { size: 1 })).toBe('x')
  })
})
