import { expect, test } from 'vitest'
import { BEGINNING, compareIds, OLDEST } from '../store/store.js'
import type { SharedLog, Store } from '../store/store.js'
import { begin, contents, once, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

const NEVER_HELD = [
  '0-1',
  '1-0',
  '99999999999999-0',
  '18446744073709551615-18446744073709551615',
  '99999999999999999999-0',
]
const NO_IDS = ['', '5', 'abc', '1-', '-1', '1-2-3', '+', '$', '01-0', '1-0 ', '1-*', '0-0x', '(1-0']

export function logContract(create: CreateStores) {
  const stores = useStores(create)

  /** Appends texts one after another and answers with their ids. */
  async function fill(
    store: Store,
    scope: string,
    texts: readonly string[],
    log: SharedLog = 'out',
    maxLength = 1000,
  ) {
    const ids: string[] = []
    for (const text of texts) ids.push((await store.append(scope, log, text, once(maxLength))) || 'refused')
    return ids
  }

  test.each(['out', 'call:c:in'] as const)('%s keeps what any node appends, in order', async (log) => {
    const { store, peer } = stores
    const scope = await begin(store)
    const ids = [...(await fill(store, scope, ['a', 'b'], log)), ...(await fill(peer, scope, ['c'], log))]
    for (const id of ids) expect(id).toMatch(/^\d+-\d+$/)
    expect(ids.toSorted(compareIds)).toEqual(ids)
    expect(new Set(ids).size).toBe(3)
    const all = ids.map((id, i) => ({ id, data: 'abc'[i] }))
    expect(await peer.read(scope, log, BEGINNING, 10)).toEqual(all)
    expect(await store.read(scope, log, OLDEST, 10)).toEqual(all)
  })

  test('reading goes on after any entry, by pages', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const ids = await fill(store, scope, ['0', '1', '2', '3', '4'])
    for (const [i, id] of ids.entries()) {
      const rest = await peer.read(scope, 'out', id, 2)
      expect(rest?.map(({ data }) => Number(data))).toEqual([i + 1, i + 2].filter((n) => n < 5))
    }
    expect(await peer.read(scope, 'out', BEGINNING, 2)).toHaveLength(2)
    expect(await peer.read(scope, 'out', OLDEST, 1)).toHaveLength(1)
  })

  test('an empty or unknown log', async () => {
    const { store } = stores
    const scope = await begin(store)
    for (const log of ['out', 'call:x:in', 'call:x'] as const) {
      expect(await store.read(scope, log, BEGINNING, 10)).toEqual([])
      expect(await store.read(scope, log, OLDEST, 10)).toEqual([])
      expect(await store.read('unknown', log, BEGINNING, 10)).toEqual([])
      expect(await store.read('unknown', log, OLDEST, 10)).toEqual([])
      for (const id of [...NEVER_HELD, ...NO_IDS]) {
        expect(await store.read(scope, log, id, 10)).toBeUndefined()
        expect(await store.read('unknown', log, id, 10)).toBeUndefined()
      }
    }
  })

  test('an id that the log does not hold is no place to go on from', async () => {
    const { store } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    const [first = ''] = await fill(store, scope, ['a', 'b'])
    const [foreign = ''] = await fill(store, scope, ['x'], 'call:c:in')
    const [elsewhere = ''] = await fill(store, other, ['y'])
    const [time = ''] = first.split('-')
    const near = [`${Number(time) - 1}-0`, `${time}-7777`, `${Number(time) + 1_000_000}-0`, `0${first}`]
    for (const id of [...NEVER_HELD, ...NO_IDS, ...near]) {
      expect({ id, read: await store.read(scope, 'out', id, 10) }).toEqual({ id, read: undefined })
    }
    const held = (await store.read(scope, 'out', OLDEST, 10))?.map(({ id }) => id)
    for (const id of [foreign, elsewhere]) {
      // Ids are clock readings, so two logs may happen to have the same one.
      if (!held?.includes(id)) expect(await store.read(scope, 'out', id, 10)).toBeUndefined()
    }
  })

  test('a log keeps its newest entries, and tells who came too late', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const ids = await fill(store, scope, ['a', 'b', 'c', 'd'], 'out', 3)
    expect(await contents(peer, scope, 'out')).toEqual(['b', 'c', 'd'])
    expect(await peer.read(scope, 'out', BEGINNING, 10)).toBeUndefined()
    expect(await peer.read(scope, 'out', ids[0] ?? '', 10)).toBeUndefined()
    expect((await peer.read(scope, 'out', ids[1] ?? '', 10))?.map(({ data }) => data)).toEqual(['c', 'd'])

    await peer.append(scope, 'out', 'e', once(1))
    expect(await contents(store, scope, 'out')).toEqual(['e'])
    expect(await store.read(scope, 'out', ids[3] ?? '', 10)).toBeUndefined()
  })

  test('a log that is just full was not trimmed', async () => {
    const { store } = stores
    const scope = await begin(store)
    await fill(store, scope, ['a', 'b', 'c'], 'out', 3)
    expect((await store.read(scope, 'out', BEGINNING, 10))?.map(({ data }) => data)).toEqual(['a', 'b', 'c'])
  })

  test('a repeated nonce appends nothing and answers with the first id', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const options = once()
    const id = await store.append(scope, 'out', 'a', options)
    await store.append(scope, 'out', 'b', once())
    expect(await peer.append(scope, 'out', 'a', options)).toBe(id)
    const attempts = [store, peer, store].map((node) =>
      node.append(scope, 'out', 'c', { nonce: 'same', maxLength: 9 }),
    )
    expect(new Set(await Promise.all(attempts)).size).toBe(1)
    expect(await contents(store, scope, 'out')).toEqual(['a', 'b', 'c'])
  })

  test('nonces of different sessions have nothing to do with each other', async () => {
    const { store } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    for (const id of [scope, other]) await store.append(id, 'out', id, { nonce: 'same', maxLength: 9 })
    expect(await contents(store, scope, 'out')).toEqual([scope])
    expect(await contents(store, other, 'out')).toEqual([other])
  })

  test('no session, no log', async () => {
    const { store } = stores
    expect(await store.append('unknown', 'out', 'a', once())).toBeUndefined()
  })

  test('logs and sessions are apart', async () => {
    const { store } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    await fill(store, scope, ['a'], 'out')
    await fill(store, scope, ['b'], 'call:1:in')
    await fill(store, scope, ['c'], 'call:2:in')
    await fill(store, other, ['d'], 'out')
    expect(await contents(store, scope, 'out')).toEqual(['a'])
    expect(await contents(store, scope, 'call:1:in')).toEqual(['b'])
    expect(await contents(store, scope, 'call:2:in')).toEqual(['c'])
    expect(await contents(store, other, 'out')).toEqual(['d'])
    await store.deleteSession(scope, 'alice')
    expect(await contents(store, other, 'out')).toEqual(['d'])
  })

  test('what two nodes append at once is all there', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const texts = Array.from({ length: 100 }, (_, i) => String(i))
    await Promise.all(texts.map((text, i) => (i % 2 ? store : peer).append(scope, 'out', text, once())))
    const entries = (await store.read(scope, 'out', BEGINNING, 1000)) ?? []
    const numbers = entries.map(({ data }) => Number(data))
    expect(numbers.toSorted((a, b) => a - b)).toEqual(texts.map(Number))
    expect(entries.map(({ id }) => id)).toEqual(entries.map(({ id }) => id).toSorted(compareIds))
  })

  test('a dropped log is empty, and may begin again', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const [id = ''] = await fill(store, scope, ['a', 'b'])
    await peer.dropLog(scope, 'out')
    await peer.dropLog(scope, 'out')
    await peer.dropLog('unknown', 'call:x')
    expect(await store.read(scope, 'out', BEGINNING, 10)).toEqual([])
    expect(await store.read(scope, 'out', id, 10)).toBeUndefined()
    await fill(store, scope, ['c'])
    expect((await store.read(scope, 'out', BEGINNING, 10))?.map(({ data }) => data)).toEqual(['c'])
  })

  test('the delivery mark only moves forward, by number', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const steps = [
      ['9-5', '9-5'],
      ['10-0', '10-0'],
      ['9-9', '10-0'],
      ['10-9', '10-9'],
      ['10-10', '10-10'],
      ['10-2', '10-10'],
      [BEGINNING, '10-10'],
    ]
    for (const [id = '', expected] of steps) {
      await store.saveDelivered(scope, id)
      expect((await peer.readSession(scope))?.delivered).toBe(expected)
    }
  })

  test('data is any text', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const texts = ['', ' ', 'a\nb\r\n\u0000c', '{"ü":"🙂"}', '\ufeff', 'x'.repeat(2 * 1024 * 1024)]
    await fill(store, scope, texts)
    expect(await contents(peer, scope, 'out')).toEqual(texts)
  })
}
