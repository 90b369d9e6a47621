import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { HistoryEntry } from '../store/history.js'
import type { NewCall, Store } from '../store/store.js'
import {
  ANY_NUMBER,
  begin,
  HOUR,
  listen,
  newCall,
  newSession,
  NO_LIMIT,
  once,
  open,
  useStores,
  waitFor,
} from './stores.js'
import type { CreateStores } from './stores.js'

const KEEPING = { keepMs: HOUR, maxEntries: 1000 }
const ALL = { limit: 1000 }
const brief = (entries: readonly HistoryEntry[]) => entries.map(({ log, data }) => `${log} ${data}`)

export function historyContract(create: CreateStores) {
  const stores = useStores(create)
  const keeping = (options = {}) => stores.store.open({ keeping: { ...KEEPING, ...options } })
  const history = async (scope: string) => brief(await stores.peer.history(scope, ALL))

  test('everything that is written is kept, once, in its order, and read on every node', async () => {
    const store = keeping()
    const scope = await begin(store, { state: { key: 'initialize', data: 'init' } })
    const put = { key: 'level', data: 'level', nonce: 'n' }
    for (let n = 0; n < 2; n++) await store.putState(scope, put, ANY_NUMBER)
    const said = once()
    for (let n = 0; n < 2; n++) await store.append(scope, 'out', 'out 1', said)
    const call = newCall(scope, { data: 'request' })
    for (let n = 0; n < 2; n++) await store.openCall(call)
    const { callId, requestKeys } = call
    const log = `call:${callId}` as const
    const epoch = (await store.read(scope, log, '-', 1))?.[0]?.id.split('-')[0]
    await store.append(scope, `${log}:in`, 'answer', once())
    const quiet = [{ id: `${epoch}-2`, data: 'step' }]
    for (let n = 0; n < 2; n++) await store.appendQuietly(scope, callId, quiet)
    const claim = { from: 'node-1', to: 'node-2', data: 'claim' }
    const claimed = await store.claimCall(scope, callId, claim)
    await store.claimCall(scope, callId, claim)
    const next = claimed?.id.split('-')[0]
    const batch = ['message', 'response'].map((data, n) => ({ id: `${next}-${n + 2}`, data }))
    for (let n = 0; n < 2; n++) await store.appendCall(scope, callId, batch, { requestKeys, retainMs: HOUR })
    const entries = await stores.peer.history(scope, ALL)
    expect(brief(entries)).toEqual([
      'state init',
      'state level',
      'out out 1',
      `${log} request`,
      `${log}:in answer`,
      `${log} step`,
      `${log} claim`,
      `${log} message`,
      `${log} response`,
    ])
    const own = [`${epoch}-1`, `${epoch}-2`, claimed?.id, `${next}-2`, `${next}-3`]
    expect(entries.filter((entry) => entry.log === log).map(({ entry }) => entry)).toEqual(own)
    expect(entries.slice(0, 2).map(({ entry }) => entry)).toEqual(['1', '2'])
    expect(entries.every(({ at }, n) => at > 0 && at >= (entries[n - 1]?.at ?? 0))).toBe(true)
  })

  test('what is refused is not kept', async () => {
    const store = keeping()
    const scope = await begin(store, { state: { key: 'k', data: 'init' } })
    await store.putState(scope, { key: 'other', data: 'x', nonce: 'n' }, { maxKeys: 1 })
    const { callId, epoch } = await open(store, scope)
    await store.openCall(newCall(scope, { maxOpenCalls: 1, data: 'too many' }))
    await store.openCall(newCall(scope, { principal: 'mallory', data: 'not hers' }))
    await store.appendCall(scope, callId, [{ id: `${epoch - 1}-9`, data: 'fenced' }])
    const effect = { key: 'v', expected: 7, data: 'x' }
    await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'conflict' }], undefined, effect)
    await store.claimCall(scope, callId, { from: 'nobody', to: 'node-2', data: 'claim' })
    await store.append(scope, 'call:none:in', 'nowhere', { ...once(), answers: 'nothing' })
    await store.append('unknown', 'out', 'nowhere', once())
    expect(await history(scope)).toEqual(['state init', `call:${callId} request`])
    expect(await history('unknown')).toEqual([])
  })

  test('pages, by time and behind an entry', async () => {
    const store = keeping()
    const scope = await begin(store)
    for (let n = 0; n < 9; n++) await store.append(scope, 'out', String(n), once())
    const all = await store.history(scope, ALL)
    expect(all).toHaveLength(10)
    const read: HistoryEntry[] = []
    for (let after: string | undefined; ; after = read.at(-1)?.id) {
      const page = await store.history(scope, { after, limit: 3 })
      if (page.length === 0) break
      expect(page.length).toBeLessThanOrEqual(3)
      read.push(...page)
    }
    expect(read).toEqual(all)
    const [first, last] = [all[0]!.at, all.at(-1)!.at]
    expect(await store.history(scope, { ...ALL, from: first, to: last })).toEqual(all)
    expect(await store.history(scope, { ...ALL, from: last + 1 })).toEqual([])
    expect(await store.history(scope, { ...ALL, to: first - 1 })).toEqual([])
    expect(await store.history(scope, { after: all[4]!.id, to: last, limit: 2 })).toEqual(all.slice(5, 7))
  })

  test('it outlives the session, ended or expired, and its journals', async () => {
    const store = keeping()
    const ended = await begin(store)
    const { callId, epoch, requestKeys } = await open(store, ended)
    await store.appendCall(ended, callId, [{ id: `${epoch}-2`, data: 'response' }], {
      requestKeys,
      retainMs: HOUR,
    })
    expect(await store.deleteSession(ended, 'alice')).toBe(true)
    expect((await history(ended)).slice(1)).toEqual([`call:${callId} request`, `call:${callId} response`])
    const expired = await begin(store, { ttlMs: 50 })
    await waitFor('the session has expired', async () => !(await store.readSession(expired)))
    expect(await history(expired)).toHaveLength(1)
  })

  test('it is kept for its time, and goes then', async () => {
    const store = keeping({ keepMs: 300 })
    const scope = await begin(store)
    expect(await history(scope)).toHaveLength(1)
    await waitFor('the history is over', async () => (await history(scope)).length === 0)
    expect(await store.readSession(scope)).toBeDefined()
  })

  test('of more than maxEntries the newest are kept', async () => {
    const store = keeping({ maxEntries: 3 })
    const scope = await begin(store)
    for (let n = 0; n < 9; n++) await store.append(scope, 'out', String(n), { ...once(), maxLength: 1 })
    expect(await history(scope)).toEqual(['out 6', 'out 7', 'out 8'])
  })

  test('without keeping nothing is kept, and the same data is there', async () => {
    const scope = await begin(stores.store)
    await open(stores.store, scope)
    expect(await history(scope)).toEqual([])
    expect(await keeping().readSession(scope)).toEqual(await stores.store.readSession(scope))
    expect(await keeping().listOpenCalls(scope)).toHaveLength(1)
  })

  test('forgetting a session deletes all of it, and says what', async () => {
    const store = keeping()
    const { scope, callId } = await busySession(store)
    const other = await begin(store)
    const watch = await listen(stores.peer, scope)
    expect(await stores.peer.forget({ scope })).toEqual({ sessions: 1, calls: 2, entries: 6 })
    await watch.until('deleted', '')
    expect(await store.readSession(scope)).toBeUndefined()
    expect(await history(scope)).toEqual([])
    expect(await store.createSession(newSession({ id: scope }), NO_LIMIT)).toBe('created')
    expect(await store.read(scope, `call:${callId}`, '-', 9)).toEqual([])
    expect(await store.read(scope, 'out', '-', 9)).toEqual([])
    expect(await store.readValue(scope, 'v')).toBeUndefined()
    expect(await store.readSession(other)).toBeDefined()
    expect(await store.forget({ scope: 'unknown' })).toEqual({ sessions: 0, calls: 0, entries: 0 })
    watch.unwatch()
  })

  test('forgetting a principal deletes its sessions, those that are history too, and nobody else’s', async () => {
    const store = keeping()
    const { scope } = await busySession(store)
    const ended = await begin(store)
    await store.deleteSession(ended, 'alice')
    const unkept = await begin(stores.store)
    const others = [await begin(store, { principal: 'bob' }), await begin(store, { principal: undefined })]
    expect(await stores.peer.forget({ principal: 'alice' })).toEqual({ sessions: 2, calls: 2, entries: 7 })
    for (const id of [scope, ended, unkept]) {
      expect(await store.readSession(id)).toBeUndefined()
      expect(await history(id)).toEqual([])
    }
    for (const id of others) {
      expect(await store.readSession(id)).toBeDefined()
      expect(await history(id)).toHaveLength(1)
    }
    expect(await store.forget({ principal: 'alice' })).toEqual({ sessions: 0, calls: 0, entries: 0 })
    expect(await store.createSession(newSession(), { maxPerPrincipal: 1 })).toBe('created')
  })

  test.each([
    ['kept', keeping],
    ['not kept', () => stores.store],
  ])(
    'forgetting a principal deletes its calls without a session, with a history that is %s',
    async (of, use) => {
      const store = use()
      const [running, ended, key] = [await alone(store), await alone(store), randomUUID()]
      await end(store, ended)
      // As one that an idempotency key names.
      const named = await open(store, key, { begins: { protocolVersion: 'a label' } })
      const others = [await alone(store, { principal: 'bob' }), await alone(store, { principal: undefined })]
      const watch = await listen(stores.peer, running.scope)
      const entries = of === 'kept' ? 4 : 0
      expect(await stores.peer.forget({ principal: 'alice' })).toEqual({ sessions: 0, calls: 3, entries })
      await watch.until('deleted', '')
      for (const { scope, log } of [running, ended, named]) {
        expect(await store.readSession(scope)).toBeUndefined()
        expect(await store.read(scope, log, '-', 9)).toEqual([])
        expect(await history(scope)).toEqual([])
      }
      for (const { scope, log } of others) expect(await store.read(scope, log, '-', 9)).toHaveLength(1)
      expect(await store.forget({ principal: 'alice' })).toEqual({ sessions: 0, calls: 0, entries: 0 })
      watch.unwatch()
    },
  )

  test('forgetting the scope of a call deletes that call', async () => {
    const { store, peer } = stores
    const [one, other] = [await alone(store), await alone(store)]
    expect(await peer.forget({ scope: one.scope })).toEqual({ sessions: 0, calls: 1, entries: 0 })
    expect(await store.readSession(one.scope)).toBeUndefined()
    expect(await store.forget({ principal: 'alice' })).toEqual({ sessions: 0, calls: 1, entries: 0 })
    expect(await store.readSession(other.scope)).toBeUndefined()
  })
}

/** A call that belongs to no session. */
const alone = (store: Store, overrides: Partial<NewCall> = {}) => {
  const scope = randomUUID()
  return open(store, scope, { callId: scope, begins: { protocolVersion: 'a label' }, ...overrides })
}

async function end(store: Store, { scope, callId, epoch, requestKeys }: Awaited<ReturnType<typeof alone>>) {
  const close = { requestKeys, retainMs: HOUR, endsScope: true }
  await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'end' }], close)
}

/** With a call that is open and one that has ended, a message, and a value. */
async function busySession(store: Store) {
  const scope = await begin(store)
  const { callId, epoch, requestKeys } = await open(store, scope)
  await store.append(scope, `call:${callId}:in`, 'answer', once())
  await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'end' }], { requestKeys, retainMs: HOUR })
  await open(store, scope)
  await store.append(scope, 'out', 'x', once())
  await store.writeValue(scope, 'v', 0, 'value')
  return { scope, callId }
}
