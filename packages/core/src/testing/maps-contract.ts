import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import type { MapRange } from '../store/context-store.js'
import { NAMES, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

/** Sorted maps, which belong to no session. */
export function mapsContract(create: CreateStores) {
  const stores = useStores(create)
  let map: string
  beforeEach(() => {
    map = `map ${randomUUID()} {with} braces`
  })

  const insert = (...keys: string[]) =>
    stores.store.changeMap(map, { set: keys.map((key) => [key, `value of ${key}`] as const), remove: [] })
  const range = async (bounds: {
    from?: string
    to?: string
    after?: string
    reverse?: boolean
    limit?: number
  }) => (await stores.peer.rangeMap(map, { reverse: false, limit: 100, ...bounds })).map(([key]) => key)

  test('a page ends with the entry that makes it large enough', async () => {
    const large = randomUUID()
    const set = ['a', 'b', 'c', 'd'].map((key) => [key, 'ü'.repeat(500)] as const)
    await stores.store.changeMap(large, { set, remove: [] })
    const page = async (maxBytes: number, more: Partial<MapRange> = {}) => {
      const entries = await stores.peer.rangeMap(large, { reverse: false, limit: 3, maxBytes, ...more })
      return entries.map(([key]) => key).join('')
    }
    expect(await page(1)).toBe('a')
    expect(await page(1001)).toBe('a')
    expect(await page(1002)).toBe('ab')
    expect(await page(100_000)).toBe('abc')
    expect(await page(1500, { reverse: true, after: 'd' })).toBe('cb')
  })

  test('a value is replaced where it is what it was thought to be', async () => {
    const { store, peer } = stores
    if (!store.replaceInMap) return
    await insert('a')
    expect(await store.replaceInMap(map, 'a', 'value of b', 'new')).toBe(false)
    expect(await peer.replaceInMap?.(map, 'none', 'value of a', 'new')).toBe(false)
    expect(await peer.replaceInMap?.(randomUUID(), 'a', 'value of a', 'new')).toBe(false)
    expect(await store.replaceInMap(map, 'a', 'value of a', 'new')).toBe(true)
    expect(await peer.readMap(map, ['a', 'none'])).toEqual(['new', undefined])
    expect(await range({})).toEqual(['a'])
  })

  test('values are read by their keys, in the order asked for', async () => {
    await insert('b', 'a')
    expect(await stores.peer.readMap(map, ['a', 'none', 'b'])).toEqual([
      'value of a',
      undefined,
      'value of b',
    ])
    expect(await stores.peer.readMap(randomUUID(), ['a'])).toEqual([undefined])
    expect(await range({})).toEqual(['a', 'b'])
  })

  test('a change sets and removes together, and replaces', async () => {
    await insert('a', 'b')
    expect(await stores.peer.changeMap(map, { set: [['a', 'new']], remove: ['b', 'none'] })).toBe('applied')
    expect(await stores.store.rangeMap(map, { reverse: false, limit: 10 })).toEqual([['a', 'new']])
  })

  test('a mark is seen once, whatever the change', async () => {
    const set = (value: string, mark: string) =>
      stores.store.changeMap(map, { set: [['k', value]], remove: [] }, mark)
    expect(await set('one', 'm')).toBe('applied')
    expect(await set('two', 'm')).toBe('repeated')
    expect(await stores.peer.readMap(map, ['k'])).toEqual(['one'])
    expect(await set('three', 'other')).toBe('applied')
    expect(await stores.peer.readMap(map, ['k'])).toEqual(['three'])
  })

  test('a mark that was seen under its former name is seen, and that one is not remembered', async () => {
    const set = (value: string, ...marks: string[]) =>
      stores.store.changeMap(map, { set: [['k', value]], remove: [] }, ...(marks as [string, string?]))
    expect(await set('one', 'former')).toBe('applied')
    expect(await set('two', 'now', 'former')).toBe('repeated')
    expect(await set('three', 'later', 'unseen')).toBe('applied')
    expect(await set('four', 'later', 'unseen')).toBe('repeated')
    expect(await set('five', 'unseen')).toBe('applied')
    expect(await stores.peer.readMap(map, ['k'])).toEqual(['five'])
  })

  test('a range has its lower bound and not its upper, both ways', async () => {
    await insert('a', 'b', 'c', 'd')
    expect(await range({ from: 'b', to: 'd' })).toEqual(['b', 'c'])
    expect(await range({ from: 'b', to: 'd', reverse: true })).toEqual(['c', 'b'])
    expect(await range({ from: 'x' })).toEqual([])
    expect(await range({ from: 'd', to: 'a' })).toEqual([])
  })

  test('pages follow one another, both ways', async () => {
    await insert('a', 'b', 'c', 'd', 'e')
    expect(await range({ limit: 2 })).toEqual(['a', 'b'])
    expect(await range({ limit: 2, after: 'b' })).toEqual(['c', 'd'])
    expect(await range({ after: 'd' })).toEqual(['e'])
    expect(await range({ reverse: true, limit: 2 })).toEqual(['e', 'd'])
    expect(await range({ reverse: true, limit: 2, after: 'd' })).toEqual(['c', 'b'])
    expect(await range({ after: 'a', from: 'c' })).toEqual(['c', 'd', 'e'])
    expect(await range({ reverse: true, after: 'e', to: 'c' })).toEqual(['b', 'a'])
    expect(await range({ after: 'bb' })).toEqual(['c', 'd', 'e'])
  })

  test('keys are in the order of their bytes', async () => {
    const keys = ['', '!', 'A', 'Z', 'a', 'aa', 'z', 'é', 'ﬀ', '😀']
    await insert(...keys.toReversed())
    expect(await range({})).toEqual(keys)
    expect(await range({ reverse: true })).toEqual(keys.toReversed())
  })

  test.each(NAMES)('the map %j is no other one', async (name) => {
    const changed = map + name
    await stores.store.changeMap(changed, { set: [[name, 'value']], remove: [] }, name)
    for (const other of NAMES) {
      const expected = other === name ? [[name, 'value']] : []
      expect(await stores.peer.rangeMap(map + other, { reverse: false, limit: 10 })).toEqual(expected)
    }
  })

  test('no key and no mark of a map is another one', async () => {
    for (const name of NAMES) {
      expect(await stores.store.changeMap(map, { set: [[name, name]], remove: [] }, name)).toBe('applied')
    }
    expect(await stores.peer.readMap(map, NAMES)).toEqual(NAMES)
    await stores.store.changeMap(map, { set: [], remove: NAMES.slice(1) })
    expect(await range({})).toEqual(NAMES.slice(0, 1))
  })

  test('maps of different names have nothing to do with each other', async () => {
    await insert('a')
    expect(await stores.store.rangeMap(`${map}x`, { reverse: false, limit: 10 })).toEqual([])
  })
}
