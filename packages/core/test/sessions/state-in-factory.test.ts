import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { durableTool, sessionState } from '../../src/index.js'
import type { Store } from '../../src/store/store.js'
import type { DurableContext, ServerFactory, SessionInfo } from '../../src/index.js'
import type { ServerObject } from '../../src/sdk.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectJson, Session } from '../support/session.js'
import { slowStore } from '../support/slow-store.js'
import { STORES } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

type Registers = ServerObject & {
  registerTool(name: string, config: object, handler: unknown): unknown
}
const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
const MAKERS = {
  v1: () => new McpServerV1({ name: 's', version: '1' }) as unknown as Registers,
  v2: () => new McpServerV2({ name: 's', version: '2' }) as unknown as Registers,
}
type Sdk = keyof typeof MAKERS

const userSchema = z.string().max(10)

/** What a session sees depends on who has logged in. */
const factory =
  (sdk: Sdk, nodes: () => Nodes): ServerFactory =>
  async ({ state }: SessionInfo) => {
    const server = MAKERS[sdk]()
    const user = await state.of('user', { schema: userSchema }).get()
    const login = async (_args: unknown, ctx: DurableContext) => {
      await ctx.state.of('user').set('ann')
      await ctx.notify({ method: 'notifications/tools/list_changed' })
      nodes().world.happened.add('logged in')
      await nodes().world.gates.pass('end of login', ctx.signal)
      return text('welcome')
    }
    const count = async (_args: unknown, ctx: DurableContext) =>
      text(String(await ctx.state.of('count').update((n) => Number(n ?? 0) + 1)))
    const logout = async (_args: unknown, ctx: DurableContext) => {
      await ctx.state.of('user').set(undefined)
      return text('bye')
    }
    server.registerTool('login', {}, durableTool(login))
    server.registerTool('logout', {}, durableTool(logout))
    server.registerTool('count', {}, durableTool(count))
    if (user !== undefined)
      server.registerTool(
        'secret',
        {},
        durableTool(async () => text(`for ${user}`)),
      )
    return server
  }

async function started(store: (typeof STORES)[number], sdk: Sdk, settings = {}) {
  const nodes: Nodes = await startNodes({ store, serverOf: () => factory(sdk, () => nodes), settings })
  return nodes
}

async function toolsOf(session: Session, node: number) {
  type Listed = { result: { tools: { name: string }[] } }
  const { result } = await expectJson<Listed>(await session.request('tools/list', undefined, { node }))
  return result.tools.map(({ name }) => name)
}

const BEFORE = ['login', 'logout', 'count']

describe.each(STORES.flatMap((store) => (['v1', 'v2'] as const).map((sdk) => ({ store, sdk }))))(
  'what a factory reads of the session, $store, SDK $sdk',
  ({ store, sdk }) => {
    test('a session sees what its state says, on every node, from the moment on that it says so', async () => {
      await using nodes = await started(store, sdk)
      const session = await Session.begin(nodes)
      for (const node of [0, 1]) expect(await toolsOf(session, node)).toEqual(BEFORE)
      await using login = await session.call('login')
      await nodes.world.happened.until('logged in')
      // The call itself goes on in the object that it began in.
      for (const node of [1, 0]) expect(await toolsOf(session, node)).toEqual([...BEFORE, 'secret'])
      for (const node of [1, 0]) expect(await session.result('secret', {}, { node })).toBe('for ann')
      nodes.world.gates.open('end of login')
      const messages = await login.messages()
      expect(messages).toMatchObject([
        { method: 'notifications/tools/list_changed' },
        { result: { content: [{ text: 'welcome' }] } },
      ])
      expect(await session.result('logout', {}, { node: 1 })).toBe('bye')
      for (const node of [0, 1]) expect(await toolsOf(session, node)).toEqual(BEFORE)
    })

    test('it lasts when the server object was let go', async () => {
      await using nodes = await started(store, sdk, { serverIdleMs: 1 })
      nodes.world.gates.open('end of login')
      const session = await Session.begin(nodes)
      expect(await session.result('login')).toBe('welcome')
      const made = nodes.made.length
      await waitFor(async () => {
        expect(await toolsOf(session, 0)).toEqual([...BEFORE, 'secret'])
        return nodes.made.length > made + 1
      })
    })

    test('what the factory has not read makes no new object, and what it has, one', async () => {
      await using nodes = await started(store, sdk)
      nodes.world.gates.open('end of login')
      const session = await Session.begin(nodes)
      for (let n = 1; n <= 3; n++) expect(await session.result('count')).toBe(String(n))
      expect(nodes.made).toHaveLength(1)
      await session.result('login')
      await Promise.all(Array.from({ length: 5 }, () => toolsOf(session, 0)))
      expect(nodes.made).toHaveLength(2)
      await session.result('count')
      expect(nodes.made).toHaveLength(2)
    })

    test('a change from outside of a call counts as well', async () => {
      await using nodes = await started(store, sdk)
      const session = await Session.begin(nodes)
      expect(await toolsOf(session, 1)).toEqual(BEFORE)
      await sessionState(nodes.stores[0]!, session.id).of('user').set('bob')
      for (const node of [0, 1]) expect(await session.result('secret', {}, { node })).toBe('for bob')
    })

    test('a call that is taken over runs in an object of the newest state', async () => {
      await using nodes = await started(store, sdk)
      const session = await Session.begin(nodes)
      expect(await toolsOf(session, 1)).toEqual(BEFORE)
      await using login = await session.call('login')
      const first = await login.next()
      await nodes.world.happened.until('logged in')
      await nodes.mcp(0).close({ graceMs: 0 })
      await nodes.world.happened.until('logged in', 2)
      await using resumed = await session.stream(first?.id, { node: 1 })
      nodes.world.gates.open('end of login')
      expect((await resumed.messages()).at(-1)).toMatchObject({ result: { content: [{ text: 'welcome' }] } })
      expect(await toolsOf(session, 1)).toEqual([...BEFORE, 'secret'])
    })

    test('deleting the session ends calls in an object that is out of date', async () => {
      await using nodes = await started(store, sdk)
      const session = await Session.begin(nodes)
      await using login = await session.call('login')
      await nodes.world.happened.until('logged in')
      expect(await toolsOf(session, 0)).toEqual([...BEFORE, 'secret'])
      expect((await session.delete({ node: 1 })).status).toBe(200)
      await login.rest()
    })
  },
)

type Changeable = { enable(): void; disable(): void; remove(): void; update(to: object): void }
type Change = (server: Registers, tools: { hidden: Changeable; shown: Changeable }) => void

/** A server with a hidden tool and one that is shown, and `change`, which does what the test wants. */
const changing =
  (sdk: Sdk, change: Change, prepare: (session: SessionInfo) => unknown = () => undefined): ServerFactory =>
  async (session) => {
    await prepare(session)
    const server = MAKERS[sdk]()
    const tools = {
      hidden: server.registerTool('hidden', {}, async () => text('hidden')) as Changeable,
      shown: server.registerTool('shown', {}, async () => text('shown')) as Changeable,
    }
    tools.hidden.disable()
    server.registerTool('change', {}, async () => {
      change(server, tools)
      return text('changed')
    })
    return server
  }

const CHANGES: [name: string, change: Change, after: string[]][] = [
  ['enables', (_, { hidden }) => hidden.enable(), ['hidden', 'shown', 'change']],
  ['disables', (_, { shown }) => shown.disable(), ['change']],
  ['removes', (_, { shown }) => shown.remove(), ['change']],
  [
    'enables, disables and removes',
    (_, { hidden, shown }) => {
      hidden.enable()
      shown.disable()
      shown.enable()
      hidden.remove()
    },
    ['shown', 'change'],
  ],
]
const ADDS: Change = (server) => void server.registerTool('more', {}, async () => text('more'))

describe.each(STORES.flatMap((store) => (['v1', 'v2'] as const).map((sdk) => ({ store, sdk }))))(
  'what a call changes of its server object, $store, SDK $sdk',
  ({ store, sdk }) => {
    test.each(CHANGES)(
      '%s: so it is on every node, once the call is answered',
      async (_name, change, after) => {
        await using nodes = await startNodes({ store, count: 3, serverOf: () => changing(sdk, change) })
        const session = await Session.begin(nodes)
        // One node has its server object from before, the other makes one.
        for (const node of [0, 1]) expect(await toolsOf(session, node)).toEqual(['shown', 'change'])
        expect(await session.result('change')).toBe('changed')
        for (const node of [1, 2, 0]) expect(await toolsOf(session, node)).toEqual(after)
        const other = await Session.begin(nodes)
        expect(await toolsOf(other, 0)).toEqual(['shown', 'change'])
      },
    )

    test('the call is answered after the change is kept, however long that takes', async () => {
      const serverOf = () => changing(sdk, CHANGES[0]![1])
      const slow = (own: Store) => slowStore(own, { putState: 100 })
      await using nodes = await startNodes({ store, wrap: slow, serverOf })
      const session = await Session.begin(nodes)
      await session.result('change')
      expect(await toolsOf(session, 1)).toEqual(['hidden', 'shown', 'change'])
    })

    test('it lasts when the server object was let go, and can be changed back', async () => {
      let isOn = false
      const toggle: Change = (_, { hidden }) => {
        isOn = !isOn
        hidden[isOn ? 'enable' : 'disable']()
      }
      const settings = { serverIdleMs: 1 }
      await using nodes = await startNodes({ store, settings, serverOf: () => changing(sdk, toggle) })
      const session = await Session.begin(nodes)
      const lasts = async (tools: string[]) => {
        const made = nodes.made.length
        await waitFor(async () => {
          for (const node of [0, 1]) expect(await toolsOf(session, node)).toEqual(tools)
          return nodes.made.length > made + 3
        })
      }
      await session.result('change')
      await lasts(['hidden', 'shown', 'change'])
      await session.result('change', {}, { node: 1 })
      await lasts(['shown', 'change'])
    })

    test('a client cannot say that something has changed', async () => {
      await using nodes = await startNodes({ store, serverOf: () => changing(sdk, () => undefined) })
      const session = await Session.begin(nodes)
      const params = { list: '_registeredTools', name: 'hidden', now: 'enabled' }
      await session.notify('notifications/mcp-durable/registered', params)
      for (const node of [0, 1]) expect(await toolsOf(session, node)).toEqual(['shown', 'change'])
    })

    test('what a session may not keep any more is told of', async () => {
      const settings = { maxStateEntries: 2 }
      await using nodes = await startNodes({ store, settings, serverOf: () => changing(sdk, CHANGES[0]![1]) })
      const session = await Session.begin(nodes)
      expect(await session.result('change')).toBe('changed')
      expect(nodes.logs.filter(({ message }) => message.includes('is not kept'))).toHaveLength(1)
    })
  },
)

const UPDATES: [name: string, update: object][] = [
  ['another description', { description: 'new' }],
  ['another title', { title: 'new' }],
  ['another handler', { callback: async () => text('new') }],
  ['other arguments', { paramsSchema: { name: z.string() } }],
  ['another result', { outputSchema: { name: z.string() } }],
  ['other annotations', { annotations: { readOnlyHint: true } }],
  ['another name', { name: 'renamed' }],
]
const nothing = async () => ({ messages: [], contents: [] })
const OTHERS: [
  what: string,
  register: (server: McpServerV1) => Pick<Changeable, 'update'>,
  update: object,
][] = [
  ['a prompt', (server) => server.registerPrompt('p', {}, nothing), { description: 'new' }],
  [
    'the handler of a prompt',
    (server) => server.registerPrompt('p', {}, nothing),
    { callback: async () => nothing() },
  ],
  ['the name of a prompt', (server) => server.registerPrompt('p', {}, nothing), { name: 'q' }],
  ['a resource', (server) => server.registerResource('r', 'r://1', {}, nothing), { metadata: {} }],
  ['where a resource is', (server) => server.registerResource('r', 'r://1', {}, nothing), { uri: 'r://2' }],
]

describe.each(['v1', 'v2'] as const)('what a call adds to its server object, SDK %s', (sdk) => {
  const warnings = ({ logs }: Nodes) =>
    logs.filter(({ message }) => message.includes('has added, renamed or updated'))

  test('it is warned of, once, that it will be lost', async () => {
    await using nodes = await startNodes({ count: 1, serverOf: () => changing(sdk, ADDS) })
    for (let n = 0; n < 2; n++) await (await Session.begin(nodes)).result('change')
    expect(warnings(nodes)).toEqual([
      { level: 'warn', fields: { lost: ['more'] }, message: expect.stringContaining('session.state') },
    ])
  })

  test.each(UPDATES)('so is what it makes of a tool: %s', async (_name, update) => {
    const change: Change = (_, { shown }) => shown.update(update)
    await using nodes = await startNodes({ count: 1, serverOf: () => changing(sdk, change) })
    for (let n = 0; n < 2; n++) await (await Session.begin(nodes)).result('change')
    const lost = ['name' in update ? 'renamed' : 'shown']
    expect(warnings(nodes)).toEqual([expect.objectContaining({ fields: { lost } })])
  })

  test('a tool that was renamed other nodes have under the name that the factory gives it', async () => {
    const change: Change = (_, { shown }) => shown.update({ name: 'renamed' })
    await using nodes = await startNodes({ serverOf: () => changing(sdk, change) })
    const session = await Session.begin(nodes)
    await session.result('change')
    expect((await toolsOf(session, 0)).toSorted()).toEqual(['change', 'renamed'])
    expect(await toolsOf(session, 1)).toEqual(['shown', 'change'])
    expect(await session.result('shown', {}, { node: 1 })).toBe('shown')
  })

  test.each(OTHERS)('so is what it makes of %s', async (_what, register, update) => {
    const updating: ServerFactory = () => {
      const server = MAKERS[sdk]()
      const registered = register(server as McpServerV1)
      server.registerTool('change', {}, async () => {
        registered.update(update)
        return text('changed')
      })
      return server
    }
    await using nodes = await startNodes({ count: 1, serverOf: () => updating })
    await (await Session.begin(nodes)).result('change')
    expect(warnings(nodes)).toHaveLength(1)
  })

  test('nothing is said where the factory reads the state, or nothing has changed', async () => {
    const reading = changing(sdk, ADDS, ({ state }) => state.get())
    const telling = changing(sdk, (server) =>
      (server as unknown as { sendToolListChanged(): void }).sendToolListChanged(),
    )
    const same = changing(sdk, (_, { shown, hidden }) => {
      shown.enable()
      hidden.update({ enabled: true })
    })
    for (const factoryOf of [reading, telling, same]) {
      await using nodes = await startNodes({ count: 1, serverOf: () => factoryOf })
      await (await Session.begin(nodes)).result('change')
      expect(warnings(nodes)).toEqual([])
    }
  })

  test('nor of what each server object does when its client is ready', async () => {
    const greeting: ServerFactory = () => {
      const server = MAKERS[sdk]()
      server.registerTool('first', {}, async () => text('first'))
      const { server: inside } = server as unknown as { server: { oninitialized: () => void } }
      inside.oninitialized = () => void server.registerTool('more', {}, async () => text('more'))
      return server
    }
    await using nodes = await startNodes({ serverOf: () => greeting })
    const session = await Session.begin(nodes)
    for (const node of [0, 1]) expect(await session.result('more', {}, { node })).toBe('more')
    expect(warnings(nodes)).toEqual([])
  })
})

test('a factory cannot change the state', async () => {
  const errors: unknown[] = []
  const writing: ServerFactory = async ({ state }) => {
    const writable = state as unknown as { set(value: unknown): Promise<void> }
    await writable.set('ann').catch((error: unknown) => errors.push(error))
    return MAKERS.v1()
  }
  await using nodes = await startNodes({ serverOf: () => writing })
  await Session.begin(nodes)
  expect(String(errors[0])).toContain('A factory reads the state of its session')
})
