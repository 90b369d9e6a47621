import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import { McpServer as McpServerOldest } from 'sdk-oldest/server/mcp.js'
import { McpServer as McpServerOldestV2 } from 'server-oldest'
import { describe, expect, test, vi } from 'vitest'
import type { ServerFactory, SessionInfo } from '../../src/index.js'
import type { ServerObject } from '../../src/sdk.js'
import { freshServer } from '../../src/session/fresh-server.js'
import { ServerTransport } from '../../src/session/transport.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, initialize, Session } from '../support/session.js'

const INFO = { name: 'mine', version: '1' }
const SDKS: [name: string, make: () => ServerObject & { server: ServerObject }][] = [
  ['1.x, newest', () => new McpServerV1(INFO)],
  ['1.x, oldest', () => new McpServerOldest(INFO)],
  ['2.x, newest', () => new McpServerV2(INFO)],
  ['2.x, oldest', () => new McpServerOldestV2(INFO)],
]

const errorsOf = ({ logs }: Nodes) =>
  logs.filter(({ level }) => level === 'error').map(({ message }) => message)
const started = (serverOf: () => ServerFactory, settings = {}) => startNodes({ serverOf, settings })

describe.each(SDKS)('a server object of %s', (_name, make) => {
  const shared: [name: string, of: () => () => unknown][] = [
    ['itself', () => once(make)],
    ['a promise of it', () => once(async () => make())],
    [
      'what it consists of',
      () => {
        const server = make()
        const forms = [server, server.server]
        return () => forms.shift() ?? server
      },
    ],
  ]
  test.each(shared)('serves one session: a factory that returns %s twice is refused', async (_form, of) => {
    const factory = of() as ServerFactory
    await using nodes = await started(() => factory)
    const session = await Session.begin(nodes)
    for (const node of [0, 1]) await expectRefused(await initialize(nodes, { node }), 500, -32603)
    expect(errorsOf(nodes)).toEqual(Array(2).fill(expect.stringContaining('that it had returned before')))
    expect((await session.request('ping')).status).toBe(200)
  })

  test('serves its session once: a factory that remembers it is refused when it is made again', async () => {
    const remembered = new Map<string, ServerObject>()
    const remember = ({ sessionId }: SessionInfo) => {
      const server = remembered.get(sessionId) ?? make()
      remembered.set(sessionId, server)
      return server
    }
    await using nodes = await started(() => remember, { serverIdleMs: 1 })
    const session = await Session.begin(nodes)
    await vi.waitFor(() =>
      expect(remembered.get(session.id)).not.toHaveProperty('server.transport', expect.anything()),
    )
    await expectRefused(await session.request('ping'), 500, -32603)
    expect(errorsOf(nodes)[0]).toContain('that it had returned before')
    remembered.clear()
    expect((await session.request('ping')).status).toBe(200)
  })

  test('that is connected is refused', async () => {
    const connected = async () => {
      const server = make()
      await server.connect(new ServerTransport('other', async () => undefined, {} as never))
      return server
    }
    await using nodes = await started(() => connected)
    await expectRefused(await initialize(nodes), 500, -32603)
    expect(errorsOf(nodes)).toEqual([expect.stringContaining('connected already')])
  })
})

const WRONG: [name: string, factory: () => unknown, says: string][] = [
  ['nothing', () => undefined, 'undefined; perhaps the factory lacks a `return`'],
  ['a promise of nothing', async () => undefined, 'undefined; perhaps the factory lacks a `return`'],
  ['null', () => null, 'null; perhaps the factory lacks a `return`'],
  ['another factory', () => () => new McpServerV1(INFO), 'a function'],
  ['a class', () => McpServerV1, 'a function'],
  ['a web application', () => new Hono(), 'a web application'],
  ['an object', () => INFO, 'something without connect() and close()'],
  ['a name', () => 'mine', 'a value of type string'],
]
test.each(WRONG)(
  'a factory that returns %s is refused, and the log says what is right',
  async (_name, factory, says) => {
    await using nodes = await started(() => factory as ServerFactory)
    await expectRefused(await initialize(nodes), 500, -32603)
    expect(errorsOf(nodes)).toEqual([expect.stringContaining(`\`server\` returned ${says}`)])
  },
)

test('a factory that throws is on the log with its error', async () => {
  await using nodes = await started(() => () => expect.fail('no configuration'))
  const body = await expectRefused(await initialize(nodes), 500, -32603)
  expect(body.error.message).not.toContain('configuration')
  const line = nodes.logs.find(({ level }) => level === 'error')
  expect(String(Object.values(line?.fields ?? {})[0])).toContain('no configuration')
})

test('a factory is waited for 30 s, and what comes later is closed', async () => {
  vi.useFakeTimers()
  try {
    let comes!: (server: ServerObject) => void
    const coming = new Promise<ServerObject>((resolve) => (comes = resolve))
    const info = { sessionId: 'one' } as SessionInfo
    const failed = freshServer(() => coming, info).catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(await failed).toContain('did not return within 30 s')
    const closed = new Promise<void>((resolve) =>
      comes({ connect: async () => undefined, close: async () => resolve() }),
    )
    await closed
  } finally {
    vi.useRealTimers()
  }
})

function once<T>(make: () => T) {
  let made: T | undefined
  return () => (made ??= make())
}
