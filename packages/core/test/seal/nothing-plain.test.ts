import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { durableTool, sealedStore } from '../../src/index.js'
import type { SealOptions, Store } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'

const MARK = 'Zebra7391'
const mark = (text: string) => `${MARK} ${text}`

function markedServer() {
  const server = new McpServer({ name: 'marked', version: '1' })
  server.registerTool(
    'keep',
    { inputSchema: { text: z.string() } },
    durableTool(async ({ text }, ctx) => {
      const made = await ctx.atLeastOnce(mark('make'), () => mark(`of a step, made of ${text}`))
      await ctx.state.set(mark('in a state'))
      await ctx.state.update(() => mark('changed'), { name: mark('change') })
      const handle = await ctx.handle.create(mark('handle'), { ttlMs: 60_000 })
      await handle.state.set(mark('of a handle'), { name: mark('set') })
      const places = ctx.map('places').idempotently(mark('for the test'))
      await places.insert({ here: Buffer.from(mark('in a map')) })
      await ctx.info(mark('said'))
      const { content } = await ctx.elicit(mark('who'), {
        message: mark('asked'),
        requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
      })
      return { content: [{ type: 'text', text: `${made}, ${String(content?.['name'])}` }] }
    }),
  )
  return server
}

/** What a client does with everything, over two nodes; resolves to what the store holds while the call waits for it, and at the end. */
async function act(stored: () => Promise<string>, options: NodesOptions) {
  await using nodes = await startNodes({ serverOf: () => markedServer, ...options })
  const session = await Session.begin(nodes, { capabilities: { elicitation: { form: {} } } })
  await session.notify('notifications/roots/list_changed', { _meta: { why: mark('of the client') } })
  const events = await session.call('keep', { text: mark('an argument') })
  let question: JsonRpcMessage
  do question = (await events.nextMessage()).message
  while (!('id' in question) || !('method' in question))
  const waiting = await stored()
  const answer = { action: 'accept', content: { name: mark('an answer') } }
  await session.answer(question.id, answer, { node: 1 })
  const text = textOf((await events.messages()).at(-1))
  const told = { method: 'notifications/message', params: { level: 'info', data: mark('told') } }
  await nodes.mcp(1).notify(session.id, told)
  return { text, waiting, ended: await stored(), nodes, session }
}

const seal: SealOptions = { keys: [randomBytes(32)] }
const settings = { history: { keep: '1h' } } as const
const RESULT = `${mark('of a step, made of')} ${mark('an argument')}, ${mark('an answer')}`

describe.each(['redis', 'sqlite'] as const)('what %s holds', (kind) => {
  test.each([
    ['sealed by the option', { settings: { ...settings, seal } }],
    ['a sealed store', { settings, wrap: (store: Store) => sealedStore(store, seal) }],
    ['not sealed', { settings }],
  ] as const)('%s', async (how, options) => {
    await using place = openPlace(kind)
    const wrap = 'wrap' in options ? options.wrap : (store: Store) => store
    const { text, waiting, ended } = await act(() => place.stored(), {
      ...options,
      wrap: () => wrap(place.forNode()),
    })
    expect(text).toBe(RESULT)
    // Where nothing is sealed, the same look finds it.
    const isFound = how === 'not sealed'
    expect([waiting.includes(MARK), ended.includes(MARK)]).toEqual([isFound, isFound])
    expect(ended.includes('sealed:1:')).toBe(!isFound)
  })
})

type Place = AsyncDisposable & { forNode(): Store; stored(): Promise<string> }

const openPlace = (kind: 'redis' | 'sqlite'): Place => (kind === 'redis' ? redisPlace() : sqlitePlace())

function redisPlace(): Place {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  const keys = async () => {
    const found: string[] = []
    for await (const page of redis.scanStream({ match: `${prefix}*`, count: 1000 }))
      found.push(...(page as string[]))
    return found
  }
  const content = async (key: string): Promise<unknown> => {
    switch (await redis.type(key)) {
      case 'hash':
        return redis.hgetall(key)
      case 'stream':
        return redis.xrange(key, '-', '+')
      case 'zset':
        return redis.zrange(key, '0', '-1')
      case 'set':
        return redis.smembers(key)
      default:
        return redis.get(key)
    }
  }
  return {
    forNode: () => redisStore(redis, { prefix }),
    stored: async () => {
      const all = await keys()
      return JSON.stringify([all, await Promise.all(all.map(content))])
    },
    async [Symbol.asyncDispose]() {
      const all = await keys()
      if (all.length > 0) await redis.unlink(...all)
      redis.disconnect()
    },
  }
}

function sqlitePlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  const stores: Store[] = []
  return {
    forNode: () => {
      const store = file(join(folder, 'mcp.db'), { synchronous: 'normal' })
      stores.push(store)
      return store
    },
    stored: async () => {
      const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isFile(),
      )
      return names.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n')
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map((store) => store.close()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
