import { AsyncLocalStorage } from 'node:async_hooks'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { MiddlewareHandler } from 'hono'
import { expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import type { DurableContext, ServerFactory, SessionInfo } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import { ask, CAPABILITIES } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { expectJson, expectStream, textOf } from '../support/session.js'

// Which requests without a session one server object serves.

const principal = ({ headers }: Request) => /^Bearer ([^/]*)/.exec(headers.get('authorization') ?? '')?.[1]

/** As a framework tells whose request it is that the code runs in. */
const current = new AsyncLocalStorage<string | undefined>()
const around: MiddlewareHandler = ({ req }, next) => current.run(principal(req.raw), next)
const ASYNC_LOCAL: NodesOptions = { adapter: 'hono', around: [around] }

/** With a tool that says whose it is, and one more for the boss. */
function serverFor(user: string | undefined) {
  const server = new McpServer({ name: 'orders', version: '1' })
  const text = `orders of ${user}`
  server.registerTool('whose', {}, async () => ({ content: [{ type: 'text' as const, text }] }))
  if (user === 'boss') server.registerTool('delete', {}, async () => ({ content: [] }))
  return server
}

async function answers(nodes: Nodes, who: string) {
  const client = new Alone(nodes)
  await using call = await client.call('whose', {}, { who: `${who}/1` })
  type Listed = { result: { tools: { name: string }[] } }
  const { result } = await expectJson<Listed>(await client.request('tools/list', {}, { who: `${who}/1` }))
  return { whose: textOf((await call.messages()).at(-1)), tools: result.tools.map(({ name }) => name) }
}

const make = ({ principal: user }: SessionInfo) => serverFor(user)
const copyOf = (info: SessionInfo) => JSON.parse(JSON.stringify(info)) as SessionInfo
const descriptors = Object.getOwnPropertyDescriptors
const LOOKING: Record<string, (...args: never[]) => unknown> = {
  'by its parameter': make,
  'late, after a wait': async (info: SessionInfo) => {
    await new Promise(setImmediate)
    return make(info)
  },
  'by a rest parameter': (...args: [SessionInfo]) => make(...args),
  'by a default': (info: SessionInfo = {} as SessionInfo) => make(info),
  'by `arguments`': function () {
    return make(arguments[0] as SessionInfo)
  },
  'by a copy': (...[info]: [SessionInfo]) => make({ ...info }),
  'as JSON': (...[info]: [SessionInfo]) => make(copyOf(info)),
  'by descriptors': (...[info]: [SessionInfo]) => serverFor(descriptors(info).principal?.value),
  'at one principal only': (...[info]: [SessionInfo]) =>
    current.getStore() === 'boss' ? make(info) : serverFor(current.getStore()),
}

test.each(Object.entries(LOOKING))(
  'a factory that looks who asks, %s, makes it for each',
  async (_, look) => {
    await using nodes = await startNodes({
      count: 1,
      ...ASYNC_LOCAL,
      settings: { principal, server: look as ServerFactory },
    })
    for (const user of ['boss', 'ann', 'boss', 'bob'])
      expect(await answers(nodes, user)).toEqual({
        whose: `orders of ${user}`,
        tools: user === 'boss' ? ['whose', 'delete'] : ['whose'],
      })
    const users = ['boss', 'ann', 'bob', 'ann', 'boss']
    const together = await Promise.all(users.map((user) => answers(nodes, user)))
    expect(together.map(({ whose }) => whose)).toEqual(users.map((user) => `orders of ${user}`))
  },
)

test('what a factory has made without a look at who asks serves all requests of a principal, and no other', async () => {
  let made = 0
  const server = () => {
    made++
    return serverFor(current.getStore())
  }
  await using nodes = await startNodes({
    count: 1,
    ...ASYNC_LOCAL,
    settings: { principal, server },
  })
  for (const user of ['boss', 'ann', 'boss', 'ann'])
    expect((await answers(nodes, user)).whose).toBe(`orders of ${user}`)
  expect(made).toBe(2)
})

test('what a server calls itself to one principal no other one is told', async () => {
  const server: ServerFactory = ({ principal: user }) => {
    const own = new McpServer({ name: 'orders', title: `orders of ${user}`, version: '1' })
    own.registerTool(
      'ask',
      {},
      durableTool(async (_args: unknown, ctx: DurableContext) => ({
        content: [{ type: 'text', text: await ask(ctx, 'which') }],
      })),
    )
    return own
  }
  await using nodes = await startNodes({ count: 1, settings: { principal, server } })
  const client = new Alone(nodes)
  const params = { name: 'ask', arguments: {} }
  const where = { who: 'ann/1', meta: CAPABILITIES, headers: { 'idempotency-key': 'once' } }
  await using asked = await expectStream(await client.request('tools/call', params, where))
  expect(JSON.stringify(await asked.messages())).toContain('orders of ann')
  await client.request('tools/list', {}, { who: 'boss/1' })
  await using again = await expectStream(await client.request('tools/call', params, where))
  const shown = JSON.stringify(await again.messages())
  expect(shown).toContain('input_required')
  expect(shown).not.toContain('boss')
})

test('of principals that come and go no more server objects stay than there may be', async () => {
  let there = 0
  const server = () => {
    const made = serverFor('anybody')
    there++
    const close = made.close.bind(made)
    made.close = async () => {
      there--
      await close()
    }
    return made
  }
  await using nodes = await startNodes({ count: 1, settings: { principal, server, maxServers: 3 } })
  for (let n = 0; n < 10; n++) await answers(nodes, `user-${n}`)
  expect(there).toBeLessThanOrEqual(3)
})

test('what a handler reads of it is of its own request', async () => {
  let made = 0
  const seen: string[] = []
  const server: ServerFactory = (session) => {
    made++
    const own = new McpServer({ name: 'late', version: '1' })
    own.registerTool('whose', {}, async () => {
      seen.push(session.sessionId, { ...session }.sessionId)
      return { content: [{ type: 'text', text: `orders of ${session.principal}` }] }
    })
    return own
  }
  await using nodes = await startNodes({ count: 1, settings: { principal, server } })
  const scopes: string[] = []
  for (const user of ['ann', 'ann', 'bob']) {
    await using call = await new Alone(nodes).call('whose', {}, { who: `${user}/1` })
    const [scope = ''] = String((await call.next())?.id).split('.')
    scopes.push(scope, scope)
    expect(textOf((await call.messages()).at(-1))).toBe(`orders of ${user}`)
  }
  expect(seen).toEqual(scopes)
  expect(made).toBe(2)
})
