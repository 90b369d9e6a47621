import { describe, expect, test } from 'vitest'
import { randomId } from '../../src/ids.js'
import type { Store } from '../../src/index.js'
import { META, SESSIONLESS } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectJson, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'

const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 3000 }
type Discovered = { result?: { supportedVersions: string[] }; error?: { message: string } }

/** A node of a version that knows nothing of requests without sessions, as far as others can see. */
class OlderNode {
  readonly id = randomId()
  readonly #nodes: Nodes
  #beating: NodeJS.Timeout | undefined

  constructor(nodes: Nodes) {
    this.#nodes = nodes
  }

  beat() {
    const about = JSON.stringify({ host: 'h', pid: 1, startedAt: 1, clock: Date.now() })
    return this.#nodes.stores[0]!.beat(this.id, about)
  }

  /** Until it leaves or dies: a test may take longer than its lease. */
  keepBeating() {
    this.#beating = setInterval(() => void this.beat().catch(() => undefined), QUICK.heartbeatMs).unref()
  }

  die() {
    clearInterval(this.#beating)
  }

  leave() {
    this.die()
    return this.#nodes.stores[0]!.leave(this.id)
  }
}

const discover = async (nodes: Nodes, node = 0) =>
  expectAnswer(await new Alone(nodes).request('server/discover', {}, { node }))
const expectAnswer = async (response: Response) => (await response.json()) as Discovered
/** As a server of an earlier version says it, at which clients begin a session. */
const REFUSED = { error: { message: 'Bad Request: Mcp-Session-Id header is required' } }

/** Nodes that begin while there is an older one. */
async function startBeside(store: StoreKind, settings: object = {}) {
  let older: OlderNode | undefined
  const nodes = await startNodes({
    store,
    settings: { ...QUICK, ...settings },
    wrap: (own) => {
      older ??= new OlderNode({ stores: [own] } as unknown as Nodes)
      const { beat } = older
      // It is there before they look for the first time.
      const seen = beat.call(older)
      return new Proxy(own, {
        get: (target, name) =>
          name === 'listNodes'
            ? async () => (await seen, target.listNodes())
            : (target[name as keyof Store] as () => unknown).bind(target),
      })
    },
  })
  older!.keepBeating()
  return { nodes, older: older!, [Symbol.asyncDispose]: () => (older!.die(), nodes[Symbol.asyncDispose]()) }
}

describe.each(STORES)('beside a node of an earlier version, %s', (store) => {
  test('what it can’t take over is not served until it has left; then it is, on each node at once', async () => {
    await using beside = await startBeside(store)
    const { nodes, older } = beside
    for (const node of [0, 1]) expect(await discover(nodes, node)).toMatchObject(REFUSED)
    const session = await Session.begin(nodes)
    expect(await session.result('echo', { text: 'session' })).toBe('session')
    expect(await discover(nodes)).toMatchObject(REFUSED)
    const warned = nodes.logs.filter(({ message }) =>
      message.includes('it is served here when they are gone'),
    )
    expect(warned).toHaveLength(2)
    await older.leave()
    for (const node of [1, 0])
      expect(await discover(nodes, node)).toMatchObject({ result: { supportedVersions: [SESSIONLESS] } })
    await using stream = await new Alone(nodes).call('echo', { text: 'alone' })
    expect(textOf((await stream.messages()).at(-1))).toBe('alone')
    expect(await session.result('echo', { text: 'session' }, { node: 1 })).toBe('session')
  })

  test('nor until it is certainly dead', async () => {
    await using beside = await startBeside(store)
    const { nodes, older } = beside
    expect(await discover(nodes)).toMatchObject(REFUSED)
    older.die()
    await expect.poll(() => discover(nodes)).toHaveProperty('result')
  })
})

test('where nothing else is served, requests get 503 meanwhile', async () => {
  await using beside = await startBeside('memory', { eras: [SESSIONLESS] })
  const { nodes, older } = beside
  expect((await new Alone(nodes).request('tools/list')).status).toBe(503)
  expect((await new Alone(nodes).get('x.1-1')).status).toBe(503)
  await older.leave()
  expect((await new Alone(nodes).request('tools/list')).status).toBe(200)
})

test('one that joins later is warned of, and nothing stops', async () => {
  await using nodes = await startNodes({ settings: QUICK })
  expect(await discover(nodes)).toHaveProperty('result')
  await new OlderNode(nodes).beat()
  const warned = () => nodes.logs.filter(({ message }) => message.includes('has joined the same store'))
  await expect.poll(() => warned().length).toBe(2)
  expect(await discover(nodes)).toHaveProperty('result')
})

test('both kinds of requests are served by default, and one of them by choice', async () => {
  await using both = await startNodes({ count: 1 })
  expect(await expectJson(await new Alone(both).request('server/discover'))).toHaveProperty('result')
  await using one = await startNodes({ count: 1, settings: { eras: ['2025-11-25'] } })
  const response = await new Alone(one).request('server/discover', {}, { meta: { [META.logLevel]: 'info' } })
  expect(response.status).toBe(400)
})
