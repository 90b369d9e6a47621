import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { durablePrompt, durableTool, principalState } from '../../src/index.js'
import type { DurableContext, ServerFactory } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import type { AloneWhere } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectJson, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'

type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>

const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 }
const BOTH = ['2025-11-25', '2026-07-28'] as const
/** `<user>/<token>` of the header. */
const userOf = (request: Request) =>
  /^Bearer ([^/]*)/.exec(request.headers.get('authorization') ?? '')?.[1] || undefined

const start = (work: Work, store: StoreKind = 'memory', settings: object = {}) =>
  startNodes({
    store,
    settings: {
      eras: BOTH,
      server: () => durableServer(work),
      principal: (request) => userOf(request),
      ...QUICK,
      ...settings,
    },
  })

const ann = (node = 0): AloneWhere => ({ who: 'ann/1', node })
const bob = (node = 0): AloneWhere => ({ who: 'bob/1', node })

async function call(nodes: Nodes, text: string, where: AloneWhere = {}) {
  await using stream = await new Alone(nodes).call('work', { text }, where)
  return textOf((await stream.messages()).at(-1))
}

async function toolNames(nodes: Nodes, where: AloneWhere = {}) {
  type Listed = { result: { tools: { name: string }[] } }
  const { result } = await expectJson<Listed>(await new Alone(nodes).request('tools/list', {}, where))
  return result.tools.map(({ name }) => name)
}

const Count = z.number()
const add = async (ctx: Pick<DurableContext, 'state'>) =>
  String(await ctx.state.of('n', { schema: Count }).update((n = 0) => n + 1))
/** `create`, or the id of a handle. */
const withHandle: Work = async (ctx, { text }) => {
  if (text === 'create') return (await ctx.handle.create('h', { ttlMs: 60_000 })).id
  return add(await ctx.handle.open(text))
}

describe.each(STORES)('the state of a principal, %s', (store) => {
  test('is the same on every node, and of nobody else', async () => {
    await using nodes = await start(add, store)
    const made = [ann(0), ann(1), bob(1), ann(0)].map((where) => () => call(nodes, '', where))
    const results = []
    for (const make of made) results.push(await make())
    expect(results).toEqual(['1', '2', '1', '3'])
    expect(await principalState(nodes.stores[0]!, 'ann').of('n').get()).toBe(3)
  })

  test('calls at once on two nodes lose no change', async () => {
    await using nodes = await start(add, store)
    const made = await Promise.all(Array.from({ length: 20 }, (_, n) => call(nodes, '', ann(n % 2))))
    expect(made.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  })

  test('a call that is taken over has changed it once', async () => {
    const work: Work = async (ctx) => {
      const n = await add(ctx)
      nodes.world.happened.add('changed')
      await ctx.atLeastOnce('wait', ({ signal }) => nodes.world.gates.pass('go', signal))
      return n
    }
    await using nodes = await start(work, store)
    const client = new Alone(nodes)
    await using stream = await client.call('work', { text: '' }, ann())
    const priming = await stream.next()
    await nodes.world.happened.until('changed')
    await nodes.mcp(0).close({ graceMs: 0 })
    await nodes.world.happened.until('changed', 2)
    await using resumed = await client.stream(priming?.id, ann(1))
    nodes.world.gates.open('go')
    expect(textOf((await resumed.messages()).at(-1))).toBe('1')
    expect(await principalState(nodes.stores[1]!, 'ann').of('n').get()).toBe(1)
  })

  test('it lasts for a while after its last use, and not longer', async () => {
    await using nodes = await start(add, store, { sessionTtlMs: 300 })
    expect(await call(nodes, '', ann())).toBe('1')
    await expect.poll(() => principalState(nodes.stores[0]!, 'ann').of('n').get()).toBe(undefined)
    expect(await call(nodes, '', ann(1))).toBe('1')
  })

  test('a handle is for calls with a session and without, of its principal, on every node', async () => {
    await using nodes = await start(withHandle, store)
    const id = await call(nodes, 'create', ann())
    expect(id).toMatch(/^[\w-]{22}$/)
    expect(await call(nodes, id, ann(1))).toBe('1')
    const session = await Session.begin(nodes, { node: 1, who: 'ann/2' })
    expect(await session.result('work', { text: id }, { node: 0, who: 'ann/2' })).toBe('2')
    const own = await session.result('work', { text: 'create' }, { who: 'ann/2' })
    expect(await call(nodes, own, ann(1))).toBe('1')
    const unknown = await call(nodes, 'A'.repeat(22), ann())
    expect(unknown).toContain('There is no such handle')
    for (const each of [id, own, `${id}x`]) expect(await call(nodes, each, bob(1))).toBe(unknown)
    expect(await call(nodes, id)).toBe(unknown)
    expect(await call(nodes, id, ann())).toBe('3')
  })

  test('what is kept of a principal can be forgotten', async () => {
    await using nodes = await start(async (ctx, args) => {
      await add(ctx)
      return withHandle(ctx, args)
    }, store)
    const id = await call(nodes, 'create', ann())
    expect(await call(nodes, id, ann(1))).toBe('1')
    await nodes.stores[0]!.forget({ principal: 'ann' })
    expect(await principalState(nodes.stores[1]!, 'ann').of('n').get()).toBeUndefined()
    expect(await call(nodes, id, ann(1))).toContain('There is no such handle')
  })
})

test('a handle expires when it was not used for its time', async () => {
  await using nodes = await start(async (ctx, { text }) =>
    text === 'create' ? (await ctx.handle.create('h', { ttlMs: 250 })).id : add(await ctx.handle.open(text)),
  )
  const id = await call(nodes, 'create', ann())
  await expect.poll(async () => call(nodes, id, ann()), { interval: 400 }).toContain('no such handle')
})

test('a principal has as many handles as it may, and a state no more bytes', async () => {
  const limits = { maxHandlesPerPrincipal: 2, maxStateBytes: 100 }
  await using nodes = await start(
    async (ctx, { text }) => {
      if (text === 'create') return withHandle(ctx, { text })
      await ctx.state.set(text)
      return 'kept'
    },
    'redis',
    limits,
  )
  for (let n = 0; n < 2; n++) expect(await call(nodes, 'create', ann(n))).toMatch(/^[\w-]{22}$/)
  expect(await call(nodes, 'create', ann())).toContain('maxHandlesPerPrincipal')
  expect(await call(nodes, 'create', bob())).toMatch(/^[\w-]{22}$/)
  expect(await call(nodes, 'x'.repeat(200), ann())).toContain('maxStateBytes')
  expect(await call(nodes, 'x', ann())).toBe('kept')
})

test('where nobody is known, the error says what to do, and handles are for whoever has them', async () => {
  await using nodes = await start(async (ctx, args) =>
    args.text === 'state' ? add(ctx) : withHandle(ctx, args),
  )
  expect(await call(nodes, 'state')).toMatch(/Nobody is known .* create a handle/)
  const id = await call(nodes, 'create')
  expect(await call(nodes, id, { node: 1 })).toBe('1')
})

test('the name of an application is nobody’s state', async () => {
  await using nodes = await start(add, 'memory', { principal: undefined })
  expect(await call(nodes, '', ann())).toMatch(/Set `principal` .* create a handle/)
})

test('in a session, the state stays the session’s', async () => {
  await using nodes = await start(add)
  expect(await call(nodes, '', ann())).toBe('1')
  for (let n = 0; n < 2; n++) {
    const session = await Session.begin(nodes, { who: 'ann/1' })
    expect(await session.result('work', { text: '' }, { who: 'ann/1' })).toBe('1')
  }
  expect(await call(nodes, '', ann())).toBe('2')
})

test('outside of tools an unknown handle is an invalid parameter', async () => {
  const server = () => {
    const made = new McpServer({ name: 'prompts', version: '1' })
    made.registerPrompt(
      'p',
      {},
      durablePrompt(async (_args: unknown, ctx) => {
        await ctx.handle.open('x')
        return { messages: [] }
      }) as never,
    )
    return made
  }
  await using nodes = await start(add, 'memory', { server })
  const response = await new Alone(nodes).request('prompts/get', { name: 'p' }, ann())
  expect(await expectJson(response)).toMatchObject({
    error: { code: -32602, message: expect.stringContaining('There is no such handle') as string },
  })
})

describe.each(STORES)('a factory that reads the state, %s', (store) => {
  const factory: ServerFactory = async ({ state }) => {
    const server = new McpServer({ name: 'login', version: '1' })
    const isIn = (await state.of('in').get()) === true
    server.registerTool(
      'login',
      {},
      durableTool(async (_args: unknown, ctx: DurableContext) => {
        await ctx.state.of('in').set(true)
        return { content: [{ type: 'text' as const, text: 'welcome' }] }
      }),
    )
    if (isIn)
      server.registerTool('secret', {}, async () => ({
        content: [{ type: 'text' as const, text: 'for you' }],
      }))
    return server
  }

  test('makes what the caller’s state says, on every node, for each principal', async () => {
    await using nodes = await startNodes({
      store,
      serverOf: () => factory,
      settings: { eras: BOTH, principal: (request) => userOf(request), ...QUICK },
    })
    const client = new Alone(nodes)
    for (const where of [ann(), ann(1), bob()]) expect(await toolNames(nodes, where)).toEqual(['login'])
    await using login = await client.call('login', {}, ann())
    expect(textOf((await login.messages()).at(-1))).toBe('welcome')
    for (const node of [1, 0]) {
      expect(await toolNames(nodes, ann(node))).toEqual(['login', 'secret'])
      await using secret = await client.call('secret', {}, ann(node))
      expect(textOf((await secret.messages()).at(-1))).toBe('for you')
      expect(await toolNames(nodes, bob(node))).toEqual(['login'])
    }
    expect(nodes.logs.filter(({ message }) => message.includes('session.state'))).toEqual([])
  })

  test('reads nothing where nobody is known, and the log says so once', async () => {
    await using nodes = await startNodes({
      count: 1,
      store,
      serverOf: () => factory,
      settings: { eras: BOTH },
    })
    for (let n = 0; n < 2; n++) expect(await toolNames(nodes, {})).toEqual(['login'])
    expect(nodes.logs.filter(({ message }) => message.includes('each value is undefined'))).toHaveLength(1)
  })
})

describe.each(['enable', 'add', 'rename'] as const)('a call that changes its server object: %s', (how) => {
  const factory = () => {
    const server = new McpServer({ name: 'changing', version: '1' })
    const done = (text: string) => ({ content: [{ type: 'text' as const, text }] })
    const hidden = server.registerTool('hidden', {}, async () => done('hidden'))
    hidden.disable()
    const change = server.registerTool('change', {}, async () => {
      if (how === 'enable') hidden.enable()
      else if (how === 'rename') change.update({ name: 'renamed' })
      else server.registerTool('more', {}, async () => done('more'))
      return done('changed')
    })
    return server
  }

  test('shows that to no other request, and the log says so once', async () => {
    await using nodes = await startNodes({ count: 1, settings: { eras: BOTH, server: factory } })
    const client = new Alone(nodes)
    for (let n = 0; n < 2; n++) {
      await using change = await client.call('change')
      expect(textOf((await change.messages()).at(-1))).toBe('changed')
      expect(await toolNames(nodes)).toEqual(['change'])
    }
    expect(nodes.logs.filter(({ message }) => message.includes('no other request gets to see'))).toHaveLength(
      1,
    )
  })
})
