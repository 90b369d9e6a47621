import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Store } from '../store/store.js'
import { ANY_NUMBER, begin, HOUR, once, open, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

export function stateContract(create: CreateStores) {
  const stores = useStores(create)
  const put = (store: Store, scope: string, key: string, data: string, nonce: string = randomUUID()) =>
    store.putState(scope, { key, data, nonce }, ANY_NUMBER)

  test('every put gets the next version of its session', async () => {
    const { store, peer } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    expect(await put(store, scope, 'level', 'info')).toBe(2)
    expect(await put(peer, scope, 'roots', '1')).toBe(3)
    expect(await put(store, scope, 'level', 'debug')).toBe(4)
    expect(await put(store, other, 'level', 'error')).toBe(2)
    expect((await peer.admit(scope, 'alice', HOUR))?.version).toBe(4)
    expect((await peer.readSession(scope))?.version).toBe(4)
  })

  test('state is read in the order of versions, the newest of each key only', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { state: { key: 'initialize', data: 'i' } })
    for (const [key, data] of [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
      ['', '4'],
    ] as const)
      await put(store, scope, key, data)
    const all = [
      { key: 'initialize', version: 1, data: 'i' },
      { key: 'a', version: 3, data: '2' },
      { key: 'b', version: 4, data: '3' },
      { key: '', version: 5, data: '4' },
    ]
    expect(await peer.readState(scope, 0)).toEqual(all)
    expect(await peer.readState(scope, 3)).toEqual(all.slice(2))
    expect(await peer.readState(scope, 5)).toEqual([])
    expect((await peer.readSession(scope))?.state).toEqual(all)
  })

  test('more than ten versions keep their order', async () => {
    const { store } = stores
    const scope = await begin(store)
    for (let i = 0; i < 20; i++) await put(store, scope, `key ${i}`, String(i))
    const versions = (await store.readState(scope, 0)).map(({ version }) => version)
    expect(versions).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
  })

  test('a repeated nonce changes nothing and answers with its version', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    expect(await put(store, scope, 'k', 'one', 'n1')).toBe(2)
    expect(await put(peer, scope, 'k', 'one', 'n1')).toBe(2)
    expect(await put(store, scope, 'k', 'two', 'n2')).toBe(3)
    expect(await put(store, scope, 'k', 'two', 'n2')).toBe(3)
    expect(await store.readState(scope, 1)).toEqual([{ key: 'k', version: 3, data: 'two' }])
  })

  test('a put repeated after a later one of another node does not undo that', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    expect(await put(store, scope, 'k', 'one', 'n1')).toBe(2)
    expect(await put(peer, scope, 'k', 'two', 'n2')).toBe(3)
    expect(await put(store, scope, 'k', 'one', 'n1')).toBe(2)
    expect(await store.readState(scope, 1)).toEqual([{ key: 'k', version: 3, data: 'two' }])
  })

  test('a put sent several times at once is applied once', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const versions = await Promise.all(
      [store, peer, store, peer].map((node) => put(node, scope, 'k', 'x', 'same')),
    )
    expect(versions).toEqual([2, 2, 2, 2])
  })

  test('nonces of different sessions have nothing to do with each other', async () => {
    const { store } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    expect(await put(store, scope, 'k', 'mine', 'same')).toBe(2)
    expect(await put(store, other, 'k', 'theirs', 'same')).toBe(2)
    expect((await store.readState(other, 1))[0]?.data).toBe('theirs')
  })

  test('at most so many keys, but known ones may change', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { state: { key: 'initialize', data: '' } })
    const limit = { maxKeys: 3 }
    const entry = (key: string) => ({ key, data: 'x', nonce: randomUUID() })
    expect(await store.putState(scope, entry('a'), limit)).toBe(2)
    expect(await store.putState(scope, entry('b'), limit)).toBe(3)
    expect(await peer.putState(scope, entry('c'), limit)).toBe('limit')
    expect(await peer.putState(scope, entry('a'), limit)).toBe(4)
    expect(await peer.putState(scope, entry('initialize'), limit)).toBe(5)
    expect((await store.readState(scope, 0)).map(({ key }) => key)).toEqual(['b', 'a', 'initialize'])
  })

  test('only state counts for the limit of keys', async () => {
    const { store } = stores
    const scope = await begin(store, { state: { key: 'initialize', data: '' } })
    for (let i = 0; i < 5; i++) await open(store, scope)
    await store.append(scope, 'out', 'x', once())
    await store.saveDelivered(scope, '1-1')
    const entry = (key: string) => ({ key, data: 'x', nonce: randomUUID() })
    expect(await store.putState(scope, entry('a'), { maxKeys: 2 })).toBe(2)
    expect(await store.putState(scope, entry('b'), { maxKeys: 2 })).toBe('limit')
    expect((await store.readState(scope, 0)).map(({ key }) => key)).toEqual(['initialize', 'a'])
  })

  test('no session, no state', async () => {
    const { store } = stores
    expect(await put(store, 'unknown', 'k', 'x')).toBe('unknown')
    expect(await store.readState('unknown', 0)).toEqual([])
    expect(await store.readSession('unknown')).toBeUndefined()
  })

  test('keys and data are any text', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const texts = ['', ' ', '1 2 3', 'a\nb\r\n\u0000c', '{"ü":"🙂"}', 's:', 'x'.repeat(200_000)]
    for (const text of texts) await put(store, scope, `k${text}`, text, `nonce ${text.slice(0, 20)}`)
    const read = await peer.readState(scope, 1)
    expect(read.map(({ data }) => data)).toEqual(texts)
    expect(read.map(({ key }) => key)).toEqual(texts.map((text) => `k${text}`))
  })
}
