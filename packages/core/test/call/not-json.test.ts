import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { CallToolRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js'
import { describe, expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectJson, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

const deep = (levels: number) => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = [value]
  return value
}
const cycle = () => {
  const value: Record<string, unknown> = {}
  value['again'] = value
  return value
}
const fails = (): never => {
  throw new Error('gets broken')
}
/** What JSON has no form for. */
const VALUES: Record<string, () => unknown> = {
  'a big int': () => 10n,
  'a cycle': cycle,
  'too deep': () => deep(100_000),
  'a toJSON that throws': () => ({ toJSON: fails }),
  'a getter that throws': () => Object.defineProperty({}, 'broken', { get: fails, enumerable: true }),
  'a proxy that throws': () => new Proxy({}, { ownKeys: fails }),
}
/** Results that JSON leaves out, or makes something of that is none. */
const RESULTS: Record<string, () => unknown> = {
  ...Object.fromEntries(
    Object.entries(VALUES).map(([name, value]) => [name, () => ({ content: [], _meta: { value: value() } })]),
  ),
  'no result': () => undefined,
  'a function': () => () => 1,
  null: () => null,
  'a text': () => 'text',
  'a list': () => [],
  'a toJSON that gives undefined': () => ({ toJSON: () => undefined }),
  'a toJSON that gives a text': () => ({ toJSON: () => 'text' }),
}

type Extra = { sendNotification: (notification: ServerNotification) => Promise<void> }
const noisy = (value: unknown) =>
  ({ method: 'notifications/message', params: { level: 'info', data: value } }) as ServerNotification
const text = (words: string) => ({ content: [{ type: 'text', text: words }] })

function server(happened: (what: string) => void) {
  const made = new Server(
    { name: 'not-json', version: '1' },
    { capabilities: { tools: {}, prompts: {}, resources: {}, completions: {}, logging: {} } },
  )
  const give = (name: string) => (RESULTS[name] ?? fails)() as never
  const call = async (name: string, what: string, extra: Extra) => {
    const value = () => VALUES[what]!()
    switch (name) {
      case 'says':
        await extra.sendNotification(noisy(value()))
        return text('went on')
      case 'says by the way':
        void extra.sendNotification(noisy(value()))
        await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
        return text('went on')
      case 'asks':
        await made
          .elicitInput({ message: 'm', requestedSchema: value() } as never)
          .catch((error: unknown) => {
            happened('could not ask')
            throw error
          })
        return text('went on')
      case 'throws':
        throw Object.assign(new Error('no such thing'), { code: -32042, data: { value: value() } })
      case 'is durable':
        return durableTool(async (_args, ctx: DurableContext) => {
          const params = { value: value() }
          await ctx
            .notify({ method: 'notifications/message', params })
            .catch((error: Error) => happened(error.name))
          return text('knows')
        })({}, extra)
      default:
        return give(name)
    }
  }
  // No schema looks at what it gives back.
  made.fallbackRequestHandler = async (request, extra) => {
    const { name = '', uri = '', argument, ...params } = request.params as Params
    switch (request.method) {
      case 'tools/call':
        return call(name, params.arguments?.what ?? '', extra)
      case 'resources/read':
        return give(decodeURIComponent(uri.slice('test://'.length)))
      default:
        return give(argument?.value ?? name)
    }
  }
  return made
}
type Params = {
  name?: string
  uri?: string
  argument?: { value: string }
  arguments?: { what?: string }
}

async function start(store: (typeof STORES)[number], version?: string) {
  const happened: string[] = []
  const nodes = await startNodes({ store, serverOf: () => () => server((what) => happened.push(what)) })
  const session = await Session.begin(nodes, version === undefined ? {} : { version })
  return { nodes, session, happened, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

const errorOf = (message: JsonRpcMessage | undefined) =>
  (message as { error?: { code: number; message: string } }).error
const logged = ({ logs }: Nodes) =>
  logs.filter(({ level, message }) => level === 'error' && message.includes('can’t be recorded'))

async function expectNothingOpen({ nodes, session }: { nodes: Nodes; session: Session }) {
  await waitFor(async () => (await nodes.stores[0]!.listOpenCalls(session.id)).length === 0)
}

describe.each(STORES)('what JSON has no form for, %s', (store) => {
  test.each(Object.keys(RESULTS))(
    'the result of a tool is %s: an error at once, and on the log',
    async (what) => {
      await using scene = await start(store)
      const messages = await (await scene.session.call(what)).messages()
      expect(messages).toHaveLength(1)
      expect(errorOf(messages[0])).toMatchObject({
        code: -32603,
        message: expect.stringContaining('no JSON') as string,
      })
      await expectNothingOpen(scene)
      expect(logged(scene.nodes)).toHaveLength(1)
      const { error } = logged(scene.nodes)[0]!.fields as { error: Error }
      expect(error.stack).toMatch(/\n +at /)
    },
  )

  test.each(Object.keys(RESULTS))(
    '%s: an error in place of a prompt, a resource, a completion',
    async (what) => {
      await using scene = await start(store)
      const uri = `test://${encodeURIComponent(what)}`
      const argument = { name: 'a', value: what }
      const requests: [string, object][] = [
        ['prompts/get', { name: what }],
        ['resources/read', { uri }],
        ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' }, argument }],
      ]
      for (const [method, params] of requests) {
        const answer = await expectJson<JsonRpcMessage>(await scene.session.request(method, params))
        expect(errorOf(answer)?.message).toContain(`${method} was run`)
      }
      expect(logged(scene.nodes)).toHaveLength(3)
    },
  )

  test.each(Object.keys(VALUES))(
    '%s in a notification ends the call, whether it is waited for or not',
    async (what) => {
      await using scene = await start(store)
      for (const name of ['says', 'says by the way']) {
        const messages = await (await scene.session.call(name, { what })).messages()
        expect(messages).toHaveLength(1)
        expect(errorOf(messages[0])?.message).toContain('no JSON')
      }
      await expectNothingOpen(scene)
      expect(logged(scene.nodes)).toHaveLength(2)
    },
  )

  test.each(Object.keys(VALUES))('%s in a question fails it', async (what) => {
    await using scene = await start(store)
    const messages = await (await scene.session.call('asks', { what })).messages()
    expect(scene.happened).toEqual(['could not ask'])
    expect(JSON.stringify(messages)).not.toContain('went on')
    expect(messages).toHaveLength(1)
    await expectNothingOpen(scene)
  })

  test.each(Object.keys(VALUES))('%s in the data of an error: the error goes without it', async (what) => {
    await using scene = await start(store)
    const [message] = await (await scene.session.call('throws', { what })).messages()
    expect(errorOf(message)).toEqual({ code: -32042, message: 'no such thing' })
    expect(logged(scene.nodes)).toHaveLength(1)
  })

  test.each(Object.keys(VALUES))('%s in what a context says is for the handler to catch', async (what) => {
    await using scene = await start(store)
    expect(await scene.session.result('is durable', { what })).toBe('knows')
    expect(scene.happened).toEqual(['NotJsonError'])
    expect(logged(scene.nodes)).toHaveLength(1)
  })

  test.each(Object.keys(VALUES))('%s from the application is refused', async (what) => {
    await using scene = await start(store)
    const notification = { method: 'notifications/message', params: { value: VALUES[what]!() } }
    await expect(scene.nodes.mcp(0).notify(scene.session.id, notification)).rejects.toThrow('no JSON')
    await expect(scene.nodes.mcp(0).broadcast(notification)).rejects.toThrow('no JSON')
  })

  test('one bad member of a batch has its error, the others their results', async () => {
    await using scene = await start(store, '2025-03-26')
    const request = (id: number, method: string, name: string) => ({
      jsonrpc: '2.0',
      id,
      method,
      params: { name },
    })
    const call = (id: number, name: string) => request(id, 'tools/call', name)
    const response = await scene.session.post([
      call(1, 'a big int'),
      call(2, 'is durable'),
      call(3, 'a cycle'),
    ])
    expect(response.status).toBe(200)
    const body = await response.text()
    for (const id of [1, 2, 3]) expect(body).toContain(`"id":${id}`)
    expect(body.match(/no JSON/g)).toHaveLength(2)
    await expectNothingOpen(scene)
    const prompts = [request(1, 'prompts/get', 'a big int'), request(2, 'prompts/get', 'null')]
    const answers = await expectJson<JsonRpcMessage[]>(await scene.session.post(prompts))
    expect(answers.map((answer) => errorOf(answer)?.code)).toEqual([-32603, -32603])
  })
})

test('a lone surrogate is JSON, and arrives', async () => {
  await using nodes = await startNodes({
    store: 'redis',
    serverOf: () => () => {
      const made = new Server({ name: 'surrogates', version: '1' }, { capabilities: { tools: {} } })
      made.setRequestHandler(CallToolRequestSchema, async () => text('a\uD800b') as never)
      return made
    },
  })
  const session = await Session.begin(nodes)
  expect(await session.result('any')).toBe('a\uD800b')
})

test('an answer to initialize that is no JSON begins no session', async () => {
  await using nodes = await startNodes({
    serverOf: () => () =>
      new Server({ name: 'n', version: 1n as unknown as string }, { capabilities: { tools: {} } }),
  })
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
  }
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const response = await nodes.endpoint(0).fetch({ method: 'POST', headers, body: JSON.stringify(body) })
  expect(response.headers.get('mcp-session-id')).toBeNull()
  expect(errorOf((await response.json()) as JsonRpcMessage)?.message).toContain('no JSON')
})
