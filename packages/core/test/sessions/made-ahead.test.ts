import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServer2 } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import type { ServerFactory, ServerObject, SessionInfo, Store } from '../../src/index.js'
import { Listener } from '../support/heard.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions, Sdk } from '../support/nodes.js'
import { expectRefused, LATEST, Session } from '../support/session.js'
import { slowStore } from '../support/slow-store.js'
import { within } from '../support/within.js'
import { waitFor } from '../../../../test-support/index.js'

const INFO = { name: 'ahead', version: '1' }

/** Server objects of a factory under test; each has a tool that says which one it is, and what it knows of its session. */
class Made {
  readonly sdk: Sdk
  readonly all: number[] = []
  readonly closed: number[] = []
  onMade: () => unknown = () => undefined

  constructor(sdk: Sdk = 'v1') {
    this.sdk = sdk
  }

  one(know: () => unknown = () => undefined): ServerObject {
    const number = this.all.push(this.all.length)
    const server = this.sdk === 'v1' ? new McpServer(INFO) : new McpServer2(INFO)
    const say = () => ({
      content: [{ type: 'text' as const, text: JSON.stringify({ number, knows: know() }) }],
    })
    for (const [name, readOnlyHint] of [['look', true] as const, ['work', false] as const])
      (server as McpServer).registerTool(name, { annotations: { readOnlyHint } }, say)
    const close = server.close.bind(server)
    server.close = async () => {
      this.closed.push(number)
      await close()
    }
    this.onMade()
    return server
  }

  since(count: number) {
    return this.all.length - count
  }
}

const start = (server: ServerFactory, options: NodesOptions = {}) =>
  startNodes({ ...options, settings: { server, ...options.settings } })

type Said = { number: number; knows?: SessionInfo }
const say = async (session: Session, tool = 'look', node = 1) =>
  JSON.parse(await session.result(tool, {}, { node })) as Said

const told = ({ id, who }: Session) => ({
  sessionId: id,
  clientInfo: { name: 'raw', version: '1' },
  ...(who && { principal: who.split('/')[0] }),
})

/** Sessions that nobody has begun. */
const invented = (nodes: Nodes, count: number) =>
  Array.from({ length: count }, (_, n) => {
    const id = `${'A'.repeat(20)}${10 + n}`
    return new Session(nodes, { id, version: LATEST, who: undefined })
  })

const look = (session: Session, where: { node?: number; who?: string } = {}) =>
  session.request('tools/call', { name: 'look' }, { node: 1, ...where })

/** The other node has seen that `look` only reads. */
async function known(nodes: Nodes) {
  await say(await Session.begin(nodes))
}

describe.each(SDKS)('a server object that is made while the session is read, %s', (sdk) => {
  test('is there before the store has answered, and is the one that is used', async () => {
    const made = new Made(sdk)
    let open = () => {}
    const opened = new Promise<void>((resolve) => (open = resolve))
    const read =
      (store: Store): Store['readSession'] =>
      async (scope) => {
        await within(opened, 'a server object made ahead')
        return store.readSession(scope)
      }
    const wrap = (store: Store, node: number) =>
      node === 0 ? store : withMember(store, 'readSession', read(store))
    await using nodes = await start(() => made.one(), { wrap })
    const session = await Session.begin(nodes, { who: 'alice/1' })
    made.onMade = open
    expect(await say(session)).toEqual({ number: 2 })
    expect(made.closed).toEqual([])
  })

  test('is closed when the session is not there, and so is none after it', async () => {
    const made = new Made(sdk)
    await using nodes = await start(() => made.one())
    await known(nodes)
    const before = made.all.length
    for (const session of invented(nodes, 5)) await expectRefused(await look(session), 404)
    await Promise.all(invented(nodes, 5).map(async (session) => expectRefused(await look(session), 404)))
    expect(made.since(before)).toBe(1)
    await waitFor(() => made.closed.includes(before + 1))
    const session = await Session.begin(nodes)
    const { number } = await say(session)
    expect(number).toBe(made.all.length)
  })

  test('is closed when the session is another’s, who gets one of their own', async () => {
    const made = new Made(sdk)
    await using nodes = await start(() => made.one())
    await known(nodes)
    const session = await Session.begin(nodes, { who: 'alice/1' })
    const before = made.all.length
    await expectRefused(await look(session, { who: 'bob/1' }), 404)
    await waitFor(() => made.closed.includes(before + 1))
    expect(await say(session)).toEqual({ number: before + 2 })
  })

  test('is closed when the node closes', async () => {
    const made = new Made(sdk)
    const wrap = (store: Store, node: number) => (node ? slowStore(store, { readSession: 300 }) : store)
    await using nodes = await start(() => made.one(), { wrap })
    const session = await Session.begin(nodes)
    const before = made.all.length
    const answer = look(session)
    await waitFor(() => made.since(before) === 1)
    await nodes.mcp(1).close({ graceMs: 0 })
    await (await answer).body?.cancel()
    await waitFor(() => made.closed.includes(before + 1))
  })
})

describe('a factory that is called ahead', () => {
  const ASKING: Record<string, (made: Made) => ServerFactory> = {
    'has a rest parameter':
      (made) =>
      (...all) => {
        const { ...session } = all[0]
        return made.one(() => session)
      },
    'has a default':
      (made) =>
      // oxlint-disable-next-line typescript/no-useless-default-assignment -- what is tested
      (session = { sessionId: 'none', clientInfo: undefined, principal: 'nobody' }) => {
        const text = JSON.stringify(session)
        return made.one(() => JSON.parse(text) as unknown)
      },
    'catches what it is thrown':
      (made) =>
      (...all) => {
        try {
          const { sessionId, clientInfo, principal } = all[0]
          return made.one(() => ({ sessionId, clientInfo, principal }))
        } catch {
          return made.one(() => 'nothing')
        }
      },
    'asks later':
      (made) =>
      async (...all) => {
        await Promise.resolve()
        const session = { ...all[0] }
        return made.one(() => session)
      },
    'freezes it':
      (made) =>
      (...all) => {
        const session = Object.freeze(all[0])
        return made.one(() => session)
      },
  }

  test.each(Object.keys(ASKING))('and %s is told of the session, and called ahead no more', async (name) => {
    const made = new Made()
    let calls = 0
    const factory = ASKING[name]?.(made)
    await using nodes = await start((...all) => {
      calls++
      return factory!(...all)
    })
    for (const who of ['alice/1', 'bob/1', 'carol/1']) {
      const session = await Session.begin(nodes, { who })
      const before = calls
      expect((await say(session)).knows).toEqual(told(session))
      expect(calls - before).toBe(who === 'alice/1' ? 2 : 1)
    }
  })

  test('may keep what it is told for its handlers', async () => {
    const made = new Made()
    await using nodes = await start((...all) => made.one(() => structuredClone(all[0])))
    await known(nodes)
    for (const who of ['alice/1', 'bob/1']) {
      const session = await Session.begin(nodes, { who })
      const before = made.all.length
      expect(await say(session)).toEqual({ number: before + 1, knows: told(session) })
    }
  })

  test('may take its time', async () => {
    const made = new Made()
    await using nodes = await start(async () => {
      await sleep(20)
      return made.one()
    })
    const session = await Session.begin(nodes)
    expect(await say(session)).toEqual({ number: 2 })
    for (const other of invented(nodes, 3)) await expectRefused(await look(other), 404)
    await waitFor(() => made.closed.length > 0)
    expect(made.closed).toEqual([3])
  })

  test.each(['throws', 'rejects'])('and %s then is called again when it is needed', async (how) => {
    const made = new Made()
    const heard = new Listener()
    let calls = 0
    const server = () => {
      calls++
      if (calls !== 2) return made.one()
      const error = new Error('not now')
      if (how === 'throws') throw error
      return Promise.reject(error)
    }
    await using nodes = await start(server, { settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    expect(await say(session)).toEqual({ number: 2 })
    expect(calls).toBe(3)
    expect(heard.all('rebuild')).toMatchObject([{ outcome: 'done' }])
  })

  test('runs in the context of the request that its server object is for', async () => {
    const context = new AsyncLocalStorage<string>()
    const made = new Made()
    await using nodes = await start(() => {
      const user = context.getStore()
      return made.one(() => user)
    })
    await known(nodes)
    const session = await context.run('alice', () => Session.begin(nodes))
    for (const other of invented(nodes, 3)) {
      await expectRefused(await context.run('mallory', () => look(other)), 404)
    }
    const answer = await context.run('alice', () => say(session))
    expect(answer.knows).toBe('alice')
  })

  test('makes one for each of the sessions that are asked for at once', async () => {
    const made = new Made()
    await using nodes = await start((...all) => made.one(() => all[0]))
    await known(nodes)
    const sessions = await Promise.all(
      ['alice', 'bob', 'carol', 'dave'].map((name) => Session.begin(nodes, { who: `${name}/1` })),
    )
    const answers = await Promise.all(sessions.map((session) => say(session)))
    expect(answers.map(({ knows }) => knows)).toEqual(sessions.map(told))
    expect(new Set(answers.map(({ number }) => number)).size).toBe(sessions.length)
  })

  test('makes one for a session that several calls ask for at once', async () => {
    const made = new Made()
    const wrap = (store: Store) => slowStore(store, { readSession: 50 })
    await using nodes = await start(() => made.one(), { wrap, settings: { hostIdle: 50 } })
    const session = await Session.begin(nodes)
    for (let round = 0; round < 3; round++) {
      const before = made.all.length
      await Promise.all([say(session, 'work'), say(session, 'look'), say(session, 'work')])
      expect(made.since(before)).toBe(1)
      await waitFor(() => made.closed.includes(made.all.length))
    }
  })

  test('is not when there is no room', async () => {
    const made = new Made()
    let most = 0
    made.onMade = () => (most = Math.max(most, made.all.length - made.closed.length))
    await using nodes = await start(() => made.one(), { count: 1, settings: { maxHosts: 1 } })
    const [one, other] = [await Session.begin(nodes), await Session.begin(nodes)]
    for (const session of [one, other, one, other]) await say(session, 'look', 0)
    expect(most).toBeLessThanOrEqual(2)
    const before = made.all.length
    for (const session of invented(nodes, 3)) await expectRefused(await look(session, { node: 0 }), 404)
    expect(made.since(before)).toBe(0)
  })

  test('counts as part of the rebuild', async () => {
    const made = new Made()
    const heard = new Listener()
    const server = () => {
      const until = performance.now() + 50
      while (performance.now() < until);
      return made.one()
    }
    await using nodes = await start(server, { settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    for (const other of invented(nodes, 2)) await expectRefused(await look(other), 404)
    expect(heard.all('rebuild')).toEqual([])
    await known(nodes)
    await say(session)
    for (const { durationMs } of heard.all('rebuild')) expect(durationMs).toBeGreaterThanOrEqual(50)
  })
})

test('one that was made for what only reads listens as soon as that was answered', async () => {
  const made = new Made()
  const watched: string[] = []
  const watch =
    (store: Store): Store['watch'] =>
    async (scope, listener) => {
      const unwatch = await store.watch(scope, listener)
      watched.push(scope)
      return unwatch
    }
  const wrap = (store: Store, node: number) => (node === 0 ? store : withMember(store, 'watch', watch(store)))
  await using nodes = await start(() => made.one(), { wrap })
  await known(nodes)
  const session = await Session.begin(nodes)
  const { number } = await say(session)
  await waitFor(() => watched.includes(session.id))
  await session.delete()
  await waitFor(() => made.closed.includes(number))
})

function withMember<Name extends keyof Store>(store: Store, name: Name, member: Store[Name]): Store {
  return new Proxy(store, {
    get: (target, asked) => {
      if (asked === name) return member
      const other: unknown = Reflect.get(target, asked)
      return typeof other === 'function' ? (other.bind(target) as unknown) : other
    },
  })
}
