import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { memoryStore, sealedStore, sessionState } from '../../src/index.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { ANY_NUMBER, newCall, newSession, NO_LIMIT, once } from '../../src/testing/stores.js'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'
import { openStorage, STORES } from '../support/stores.js'
import type { Storage } from '../support/stores.js'

const key = randomBytes(32)
afterEach(() => void vi.restoreAllMocks())

/** Nodes with the same secrets; the first one has that of alice, who was forgotten on the second one and is back there. */
async function comeBack(storage: Storage) {
  const seal = { keys: [key], secrets: memoryStore() }
  const node = () => sealedStore(storage.forNode(), seal)
  const [one, two] = [node(), node()]
  await one.createSession(newSession({ principal: 'alice' }), NO_LIMIT)
  await two.forget({ principal: 'alice' })
  const session = newSession({ principal: 'alice' })
  await two.createSession(session, NO_LIMIT)
  return { one, two, scope: session.id, third: node }
}

type Write = (node: Store, scope: string) => Promise<(other: Store) => Promise<unknown>>
const note = 'a note'

/** What a node does first of all in a session that it has not seen, and how another one reads it. */
const WRITES: Record<string, Write> = {
  'opens a call': async (node, scope) => {
    const call = newCall(scope, { principal: 'alice', data: note })
    expect((await node.openCall(call)).status).toBe('opened')
    return async (other) => (await other.read(scope, `call:${call.callId}`, BEGINNING, 9))?.[0]?.data
  },
  'tells its client something': async (node, scope) => {
    await node.append(scope, 'out', note, once())
    return async (other) => (await other.read(scope, 'out', BEGINNING, 9))?.[0]?.data
  },
  'changes its state': async (node, scope) => {
    await sessionState(node, scope).set(note)
    return (other) => sessionState(other, scope).get()
  },
  'keeps a message of its client': async (node, scope) => {
    await node.putState(scope, { key: 'level', data: note, nonce: randomUUID() }, ANY_NUMBER)
    return async (other) => (await other.readSession(scope))?.state.at(-1)?.data
  },
}

describe.each(STORES)('one who comes back after being forgotten, %s', (kind) => {
  test.each(Object.entries(WRITES))('%s: every node can read what a node writes', async (_, write) => {
    await using storage = openStorage(kind)
    const { one, third, scope } = await comeBack(storage)
    expect(await (await write(one, scope))(third())).toBe(note)
  })

  test.each(Object.entries(WRITES))('%s: the same, once the node has read the session', async (_, write) => {
    await using storage = openStorage(kind)
    const { one, third, scope } = await comeBack(storage)
    const [session] = await Promise.all([one.readSession(scope), one.readSession(scope)])
    expect(session?.state).toHaveLength(1)
    expect(await (await write(one, scope))(third())).toBe(note)
  })

  test('what is left for a call without a session, more than 5 s later', async () => {
    await using storage = openStorage(kind)
    const { one, two, third } = await comeBack(storage)
    const scope = randomUUID()
    const alone = newCall(scope, { principal: 'alice', begins: { protocolVersion: '2026-07-28' } })
    expect((await two.openCall(alone)).status).toBe('opened')
    const now = performance.now()
    vi.spyOn(performance, 'now').mockImplementation(() => now + 6000)
    await one.readSession(scope)
    const inbox = `call:${alone.callId}:in` as const
    await one.append(scope, inbox, 'an answer', once())
    expect(await third().read(scope, inbox, BEGINNING, 9)).toMatchObject([{ data: 'an answer' }])
  })
})

test('what a node writes at once stays in order while it learns of the new secret', async () => {
  const { one, third, scope } = await comeBack(openStorage('memory'))
  const texts = Array.from({ length: 20 }, (_, n) => String(n))
  await Promise.all(texts.map((text) => one.append(scope, 'out', text, once())))
  expect((await third().read(scope, 'out', BEGINNING, 99))?.map(({ data }) => data)).toEqual(texts)
})

test('a client that is back is served by every node', async () => {
  const seal = { keys: [key], secrets: memoryStore(), plain: 'refuse' as const }
  await using nodes = await startNodes({ store: 'redis', settings: { seal } })
  const before = await Session.begin(nodes, { who: 'alice/1' })
  expect(await before.result('echo', { text: 'on' }, { node: 0 })).toBe('on')
  await sealedStore(nodes.stores[1]!, seal).forget({ principal: 'alice' })
  const seen = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => seen + 6000)
  const session = await Session.begin(nodes, { who: 'alice/1', node: 1 })
  await using call = await session.call('wait', { gate: 'g' }, { node: 0 })
  const priming = await call.next()
  await nodes.world.happened.until('started g')
  await using resumed = await session.stream(priming?.id, { node: 1 })
  nodes.world.gates.open('g')
  expect(await resumed.messages()).toHaveLength(1)
})

test('who forgets can not read what is left, also where it has only read before', async () => {
  const raw = memoryStore()
  const seal = { keys: [key], secrets: memoryStore() }
  const session = newSession({ principal: 'alice' })
  await sealedStore(raw, seal).createSession(session, NO_LIMIT)
  // It dies half-way, or what is left comes from a backup.
  const dying = Object.assign(raw.open({}), { forget: () => Promise.reject(new Error('killed')) })
  const reader = sealedStore(dying, seal)
  await reader.readSession(session.id)
  await expect(reader.forget({ principal: 'alice' })).rejects.toThrow('killed')
  await expect(reader.readSession(session.id)).rejects.toMatchObject({ code: 'store-forgotten' })
})
