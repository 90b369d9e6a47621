import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { durable, durableTool, sessionIdOf } from '../src/index.js'
import type { CommonOptions, Durable, ServerFactory, Store } from '../src/index.js'
import {
  ASKED,
  begin,
  beside,
  CALL,
  CHANGED,
  openCall,
  PING,
  post,
  resume,
  send,
  storedId,
} from './support/asked.js'
import { contentOf } from './support/store-content.js'
import { openStorage, STORES } from './support/stores.js'
import { Gates, Happenings } from './support/world.js'

/** What all servers of a test share with it. */
class Shared {
  readonly happened = new Happenings()
  readonly gates = new Gates()

  /** A server with one tool, of the same name as that of any other one. */
  server(name: string | undefined) {
    const mcp = new McpServer({ name: name as string, version: '1' }, { capabilities: { logging: {} } })
    const work = durableTool(async (_args: unknown, ctx) => {
      this.happened.add(`${name} works`)
      await ctx.atLeastOnce('wait', () => this.gates.pass('work', ctx.signal))
      return { content: [{ type: 'text' as const, text: `done by ${name}` }] }
    })
    mcp.registerTool('work', {}, work)
    return mcp
  }

  /** One node of an endpoint. */
  node(name: string | undefined | ServerFactory, store: Store, options: Partial<CommonOptions> = {}) {
    const logs: string[] = []
    const note = (fields: object, message: string) =>
      void logs.push(`${message} ${(fields as { reason?: string }).reason ?? ''}`)
    const logger = { error: note, warn: note, info: () => undefined, debug: () => undefined }
    const server = typeof name === 'function' ? name : () => this.server(name)
    const settings = { sweepMs: 50, validateEffects: false, ...options }
    return Object.assign(beside(store, durable({ store, logger, server, ...settings })), { logs })
  }
}

describe.each(STORES)('servers without a name on one %s store', (kind) => {
  test.each(['has heard its own name', 'has not heard its own name'])(
    'a session is unknown to another server that %s, and nothing of it changes',
    async (known) => {
      await using storage = openStorage(kind)
      const shared = new Shared()
      const store = storage.forNode()
      const [shop, admin] = [shared.node('shop', store), shared.node('admin', storage.forNode())]
      if (known === 'has heard its own name') await begin(admin)
      const session = await begin(shop)
      const id = await openCall(shop, session)
      await shared.happened.until('shop works')
      const before = await contentOf(store, [storedId(session)])
      for (const [what, , ask] of ASKED) {
        const refused = await ask(admin, session)
        expect(refused.status, what).toBe(404)
        await refused.body?.cancel()
      }
      expect((await send(admin, 'GET', undefined, { ...session, 'last-event-id': id })).status).toBe(404)
      expect(await contentOf(store, [storedId(session)])).toEqual(before)
      shared.gates.open('work')
      expect(await resume(shop, session, id)).toContain('done by shop')
      expect(shared.happened.all).toEqual(['shop works'])
      for (const mcp of [shop, admin]) await mcp.close({ graceMs: 0 })
    },
  )

  test.each(ASKED)(
    '%s is served by a node of its own that has heard no name yet',
    async (_what, status, ask) => {
      await using storage = openStorage(kind)
      const shared = new Shared()
      shared.gates.open('work')
      const nodes = [shared.node('shop', storage.forNode()), shared.node('shop', storage.forNode())] as const
      const answer = await ask(nodes[1], await begin(nodes[0]))
      expect(answer.status).toBe(status)
      await answer.body?.cancel()
      for (const mcp of nodes) await mcp.close({ graceMs: 0 })
    },
  )

  test('whoever is asked first, and all at once: each serves its own', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    shared.gates.open('work')
    const [shop, admin] = [shared.node('shop', storage.forNode()), shared.node('admin', storage.forNode())]
    const sessions = await Promise.all(
      Array.from({ length: 10 }, async () => [await begin(shop), await begin(admin)] as const),
    )
    const fresh = [shared.node('shop', storage.forNode()), shared.node('admin', storage.forNode())] as const
    const texts = await Promise.all(
      sessions.flatMap((pair) =>
        pair.flatMap((session, at) =>
          fresh.map(async (mcp, place) => {
            const answer = await post(mcp, CALL, session)
            return [at === place, answer.status, (await answer.text()).includes(`done by ${NAMED[place]}`)]
          }),
        ),
      ),
    )
    for (const [isOwn, status, isDone] of texts)
      expect([status, isDone]).toEqual(isOwn ? [200, true] : [404, false])
    for (const mcp of [shop, admin, ...fresh]) await mcp.close({ graceMs: 0 })
  })

  test('a node that has just started makes one server object to hear its name, however many clients come back', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    const shop = shared.node('shop', storage.forNode())
    const sessions = await Promise.all(Array.from({ length: 20 }, () => begin(shop)))
    let made = 0
    const slow: ServerFactory = async () => {
      made++
      await shared.gates.pass('slow', new AbortController().signal)
      return shared.server('shop')
    }
    const fresh = shared.node(slow, storage.forNode())
    const coming = sessions.map((session) => send(fresh, 'GET', undefined, session))
    await waitFor(() => made > 0, { what: 'the first server object' })
    shared.gates.open('slow')
    for (const answer of await Promise.all(coming)) expect(answer.status).toBe(200)
    expect(made).toBe(1)
    for (const mcp of [shop, fresh]) await mcp.close({ graceMs: 0 })
  })

  test('a broadcast goes to sessions of its server, from a node that has heard no name too', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    const store = storage.forNode()
    const [shop, admin] = [shared.node('shop', store), shared.node('admin', storage.forNode())]
    const own = [await begin(shop), await begin(shop)]
    const others = await begin(admin)
    expect(await shop.broadcast(CHANGED)).toBe(2)
    const fresh = shared.node('shop', storage.forNode())
    expect(await fresh.broadcast(CHANGED)).toBe(2)
    const heard = await contentOf(store, [...own, others].map(storedId))
    expect(heard.map(({ out }) => out?.length)).toEqual([2, 2, 0])
    expect(await admin.broadcast(CHANGED)).toBe(1)
    for (const mcp of [shop, admin, fresh]) await mcp.close({ graceMs: 0 })
  })

  test('a call whose node is gone waits for one of its own server', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    const store = storage.forNode()
    const shop = shared.node('shop', storage.forNode())
    const session = await begin(shop)
    const id = await openCall(shop, session)
    await shared.happened.until('shop works')
    // How long a call may be unserved is for its own server to say.
    const admin = shared.node('admin', storage.forNode(), { maxUnservedMs: 0 })
    await shop.close({ graceMs: 0 })
    const givenBack = () => admin.logs.some((line) => line.includes('one of another server'))
    await waitFor(givenBack, { what: 'the other server gives it back' })
    expect(shared.happened.all, 'and ran nothing').toEqual(['shop works'])
    const [content] = await contentOf(store, [storedId(session)])
    expect(JSON.stringify(content?.calls), 'nor ended it').not.toContain('response')
    shared.gates.open('work')
    const next = shared.node('shop', storage.forNode())
    expect(await resume(next, session, id)).toContain('done by shop')
    expect(shared.happened.all).toEqual(['shop works', 'shop works'])
    for (const mcp of [admin, next]) await mcp.close({ graceMs: 0 })
  })

  test('of calls whose nodes are gone each goes to its own server, whoever looks first', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    const gone = NAMED.map((name) => shared.node(name, storage.forNode()))
    const begun = await Promise.all(
      Array.from({ length: 12 }, async (_, at) => {
        const mcp = gone[at % 2]!
        const session = await begin(mcp)
        return { at: at % 2, session, id: await openCall(mcp, session) }
      }),
    )
    const next = NAMED.map((name) => shared.node(name, storage.forNode()))
    await Promise.all(gone.map((mcp) => mcp.close({ graceMs: 0 })))
    shared.gates.open('work')
    const texts = await Promise.all(begun.map(({ at, session, id }) => resume(next[at]!, session, id)))
    for (const [place, { at }] of begun.entries()) expect(texts[place]).toContain(`done by ${NAMED[at]}`)
    for (const mcp of next) await mcp.close({ graceMs: 0 })
  })

  test('a server that does not say its name is another one than those that do', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    shared.gates.open('work')
    const [shop, nameless] = [
      shared.node('shop', storage.forNode()),
      shared.node(undefined, storage.forNode()),
    ]
    const nodes = [
      shop,
      nameless,
      shared.node('shop', storage.forNode()),
      shared.node(undefined, storage.forNode()),
    ]
    const [of, off] = [await begin(shop), await begin(nameless)]
    for (const [at, mcp] of nodes.entries()) {
      const statuses = [await post(mcp, PING, of), await post(mcp, PING, off)].map(({ status }) => status)
      expect(statuses).toEqual(at % 2 === 0 ? [200, 404] : [404, 200])
    }
    expect(await nameless.broadcast(CHANGED)).toBe(1)
    for (const mcp of nodes) await mcp.close({ graceMs: 0 })
  })

  test('one that calls itself otherwise in each session serves all of them, on every node, and is told to have a name', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    shared.gates.open('work')
    const factory: ServerFactory = ({ principal }) => shared.server(`shop of ${principal}`)
    const options = { principal: (request: Request) => request.headers.get('x-user') ?? undefined }
    const [one, two] = [1, 2].map(() => shared.node(factory, storage.forNode(), options)) as [Node, Node]
    const sessions = await Promise.all(['ann', 'bob', 'cem'].map((user) => begin(one, { 'x-user': user })))
    const stranger = { ...sessions[0]!, 'x-user': 'bob' }
    for (const session of [...sessions, ...sessions.toReversed()]) {
      const answer = await post(two, CALL, session)
      expect(await answer.text()).toContain(`done by shop of ${session['x-user']}`)
      expect((await post(two, PING, stranger)).status).toBe(404)
    }
    expect(await one.broadcast(CHANGED)).toBe(3)
    const told = one.logs.filter((line) => line.includes('calls itself by different names'))
    expect(told).toEqual([expect.stringContaining("durable({ name: 'orders'")])
    for (const mcp of [one, two]) await mcp.close({ graceMs: 0 })
  })

  test('a session of an earlier version is anybody’s', async () => {
    await using storage = openStorage(kind)
    const shared = new Shared()
    const [named, peer] = [1, 2].map(() => storage.forNode()) as [Store, Store]
    const [shop, admin] = [shared.node('shop', named), shared.node('admin', peer)]
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'c', version: '1' },
    }
    const data = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const state = { key: 'initialize', data }
    const session = { protocolVersion: '2025-11-25', principal: undefined, state, ttlMs: 60_000 }
    await named.createSession({ ...session, id: sessionIdOf(EARLY) }, { maxPerPrincipal: 1 })
    for (const mcp of [shop, admin])
      expect((await post(mcp, PING, { 'mcp-session-id': EARLY })).status).toBe(200)
    expect(await shop.broadcast(CHANGED)).toBe(1)
    for (const mcp of [shop, admin]) await mcp.close({ graceMs: 0 })
  })
})

test('a process with one server has all sessions of its store: that may call itself otherwise on each node', async () => {
  await using storage = openStorage('redis')
  const shared = new Shared()
  const quiet = () => undefined
  const logger = { error: quiet, warn: quiet, info: quiet, debug: quiet }
  const [one, two] = ['shop on a', 'shop on b'].map((name) =>
    durable({ store: storage.forNode(), logger, validateEffects: false, server: () => shared.server(name) }),
  ) as [Durable, Durable]
  shared.gates.open('work')
  const session = await begin(one)
  expect(await (await post(two, CALL, session)).text()).toContain('done by shop on b')
  expect(await two.broadcast(CHANGED)).toBe(1)
  for (const mcp of [one, two]) await mcp.close({ graceMs: 0 })
})

test('with a name, a server may call itself otherwise after a deploy', async () => {
  await using storage = openStorage('redis')
  const shared = new Shared()
  const name = { name: 'orders' }
  const [before, after] = [
    shared.node('orders 1', storage.forNode(), name),
    shared.node('orders 2', storage.forNode(), name),
  ]
  const session = await begin(before)
  expect((await post(after, PING, session)).status).toBe(200)
  expect(await after.broadcast(CHANGED)).toBe(1)
  const id = await openCall(before, session)
  await shared.happened.until('orders 1 works')
  await before.close({ graceMs: 0 })
  shared.gates.open('work')
  expect(await resume(after, session, id)).toContain('done by orders 2')
  await after.close({ graceMs: 0 })
})

const EARLY = 'e'.repeat(22)
type Node = ReturnType<Shared['node']>
const NAMED = ['shop', 'admin'] as const
