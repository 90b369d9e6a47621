import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { MapChangedTwiceError, NestedStepError } from '../../src/context/errors.js'
import { compareKeys, prefixEnd } from '../../src/context/map-keys.js'
import { sortedMap } from '../../src/context/sorted-map.js'
import { memoryStore } from '../../src/index.js'
import { StoreError } from '../../src/errors.js'
import { MemoryContextStore } from './memory-context-store.js'
import { TestCall, thrown } from './support.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const keys = (entries: [string, Uint8Array][]) => entries.map(([key]) => key)

async function glossary(...names: string[]) {
  const map = sortedMap(new MemoryContextStore(), 'glossary')
  await map.insert(names.map((name) => [name, bytes(name)]))
  return map
}

describe('reading and writing', () => {
  test('insert, get, remove', async () => {
    const map = await glossary('b', 'a')
    expect(await map.get('a')).toStrictEqual(bytes('a'))
    await map.insert({ a: bytes('new'), c: new Uint8Array() })
    expect(await map.getMany(['c', 'missing', 'a'])).toStrictEqual([
      new Uint8Array(),
      undefined,
      bytes('new'),
    ])
    await map.remove('a')
    await map.remove(['b', 'missing', 'b'])
    expect(keys(await map.range())).toEqual(['c'])
  })

  test('a page of many bytes is read in parts, forwards and back', async () => {
    const store = memoryStore()
    const map = sortedMap(store, 'large')
    const all = Array.from({ length: 12 }, (_, n) => String(n).padStart(2, '0'))
    for (const key of all) await map.insert({ [key]: Buffer.alloc(300_000, key) })
    const reads = vi.spyOn(store, 'rangeMap')
    expect(keys(await map.range())).toEqual(all)
    expect(reads.mock.calls.length).toBeGreaterThan(3)
    for (const { value } of reads.mock.settledResults) expect((value as unknown[]).length).toBeLessThan(4)
    expect(keys(await map.reverseRange({ limit: 7, from: '03' }))).toEqual(all.toReversed().slice(0, 7))
    expect(keys(await map.range({ from: '03', to: '10', after: '05' }))).toEqual(all.slice(6, 10))
    expect((await map.range({ limit: 4, after: '07' }))[3]?.[1]).toHaveLength(300_000)
    await store.close()
  })

  test('any bytes, also those of a window onto a pool', async () => {
    const map = await glossary()
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    await map.insert(
      new Map([
        ['all', all],
        ['window', Buffer.from('xyz').subarray(1, 2)],
      ]),
    )
    expect(await map.get('all')).toStrictEqual(all)
    expect(await map.get('window')).toStrictEqual(bytes('y'))
    expect((await map.get('window'))?.buffer.byteLength).toBe(1)
  })

  test('of two entries with one key the later counts', async () => {
    const map = await glossary()
    await map.insert([
      ['a', bytes('1')],
      ['a', bytes('2')],
    ])
    expect(await map.get('a')).toStrictEqual(bytes('2'))
  })

  test('a map that nobody has changed is empty', async () => {
    const map = await glossary()
    expect(await map.get('a')).toBeUndefined()
    expect(await map.range()).toEqual([])
    expect(await map.reverseRange()).toEqual([])
  })

  test('a range has its lower bound and not its upper one, whichever way it is read', async () => {
    const map = await glossary('a', 'b', 'c', 'd')
    expect(keys(await map.range({ from: 'b', to: 'd' }))).toEqual(['b', 'c'])
    expect(keys(await map.reverseRange({ from: 'b', to: 'd' }))).toEqual(['c', 'b'])
    expect(keys(await map.range({ from: 'bb' }))).toEqual(['c', 'd'])
    expect(keys(await map.range({ from: 'd', to: 'b' }))).toEqual([])
    expect(keys(await map.reverseRange({ limit: 2 }))).toEqual(['d', 'c'])
  })

  test('pages', async () => {
    const names = Array.from({ length: 250 }, (_, i) => String(i).padStart(3, '0'))
    const map = await glossary(...names)
    for (const [read, expected] of [
      ['range', names],
      ['reverseRange', names.toReversed()],
    ] as const) {
      const seen: string[] = []
      let page = await map[read]()
      while (page.length > 0) {
        expect(page.length).toBeLessThanOrEqual(100)
        seen.push(...keys(page))
        page = await map[read]({ after: seen.at(-1) ?? '' })
      }
      expect(seen).toEqual(expected)
    }
  })

  test('by prefix', async () => {
    const map = await glossary('api', 'apiary', 'api key', 'apj', 'ap', 'b')
    expect(keys(await map.prefixRange('api'))).toEqual(['api', 'api key', 'apiary'])
    expect(keys(await map.prefixRange('api', { reverse: true, limit: 2 }))).toEqual(['apiary', 'api key'])
    expect(keys(await map.prefixRange('api', { after: 'api' }))).toEqual(['api key', 'apiary'])
    expect(keys(await map.prefixRange(''))).toHaveLength(6)
  })

  test.each([0, -1, 1.5, 10_001, Number.NaN])('%s is no limit', async (limit) => {
    expect(await thrown((await glossary()).range({ limit }))).toBeInstanceOf(RangeError)
  })

  test('keys and values of other kinds are refused, and nothing is written', async () => {
    const map = await glossary('a')
    const wrong: unknown[] = [
      [['x', 'text']],
      [[1, bytes('x')]],
      [
        ['x', bytes('1')],
        ['\ud800', bytes('2')],
      ],
    ]
    for (const entries of wrong) expect(await thrown(map.insert(entries as never))).toBeInstanceOf(TypeError)
    expect(await thrown(map.remove(['\udfff']))).toBeInstanceOf(TypeError)
    expect(await thrown(map.range({ from: '\ud800x' }))).toBeInstanceOf(TypeError)
    expect(() => sortedMap(new MemoryContextStore(), '')).toThrow(TypeError)
    expect(keys(await map.range())).toEqual(['a'])
  })

  test('outside of a call changes may be repeated, and have no alias', async () => {
    const map = await glossary('a')
    await map.insert({ a: bytes('again') })
    expect(await thrown(map.idempotently('x').insert({ b: bytes('b') }))).toBeInstanceOf(TypeError)
  })
})

test('the order is that of the bytes', () => {
  const text = fc.string({ unit: 'binary' })
  const property = fc.property(text, text, (a, b) => {
    const order = Buffer.compare(Buffer.from(a), Buffer.from(b))
    expect(Math.sign(compareKeys(a, b))).toBe(order)
  })
  fc.assert(property)
  expect(compareKeys('\uffff', '\u{10000}')).toBeLessThan(0)
})

test('the end of a prefix is the lowest key above all that begin with it', () => {
  const text = fc.string({ unit: 'binary', maxLength: 4 })
  const property = fc.property(text, text, (prefix, key) => {
    const end = prefixEnd(prefix)
    const inside = compareKeys(key, prefix) >= 0 && (end === undefined || compareKeys(key, end) < 0)
    expect(inside).toBe(key.startsWith(prefix))
    if (end !== undefined) expect(compareKeys(`${prefix}\u{10ffff}`, end)).toBeLessThan(0)
  })
  fc.assert(property, { numRuns: 500 })
  expect(prefixEnd('api')).toBe('apj')
  expect(prefixEnd('\ud7ff')).toBe('\ue000')
  expect(prefixEnd('a\u{10ffff}')).toBe('b')
  expect(prefixEnd('\u{10ffff}')).toBeUndefined()
  expect(prefixEnd('')).toBeUndefined()
})

describe('in a call', () => {
  test('a change applies once, in whichever run, even if others came between', async () => {
    const call = new TestCall()
    const insert = () =>
      call
        .node()
        .context.map('m')
        .insert({ a: bytes('first') })
    await insert()
    await sortedMap(call.store, 'm').insert({ a: bytes('other') })
    await insert()
    expect(await sortedMap(call.store, 'm').get('a')).toStrictEqual(bytes('other'))
  })

  test('another call is another change', async () => {
    const store = new MemoryContextStore()
    for (const value of ['1', '2'])
      await new TestCall({ store })
        .node()
        .context.map('m')
        .insert({ a: bytes(value) })
    expect(await sortedMap(store, 'm').get('a')).toStrictEqual(bytes('2'))
  })

  test('the same map changed twice needs aliases', async () => {
    const call = new TestCall()
    for (let run = 0; run < 2; run++) {
      const { context } = call.node()
      const map = context.map('m')
      await map.insert({ a: bytes('1') })
      const again = await thrown(context.map('m').remove('a'))
      expect(again).toBeInstanceOf(MapChangedTwiceError)
      expect(again.message).toContain('idempotently')
      await map.idempotently('second').insert({ b: bytes('2') })
      await map.idempotently('third').remove('a')
      expect(await thrown(map.idempotently('second').remove('b'))).toBeInstanceOf(MapChangedTwiceError)
      await context.map('other').insert({ a: bytes('3') })
      expect(keys(await map.range())).toEqual(['b'])
      expect(await context.map('other').get('a')).toStrictEqual(bytes('3'))
    }
  })

  test('names and aliases cannot run into each other', async () => {
    const { context } = new TestCall().node()
    await context
      .map('a:b')
      .idempotently('c')
      .insert({ k: bytes('1') })
    await context
      .map('a')
      .idempotently('b:c')
      .insert({ k: bytes('2') })
    expect(await context.map('a').get('k')).toStrictEqual(bytes('2'))
  })

  test('a change inside a step throws; reading there does not', async () => {
    const { context } = new TestCall().node()
    const map = context.map('m')
    await map.insert({ a: bytes('1') })
    expect(await context.atLeastOnce('read', () => map.get('a'))).toStrictEqual(bytes('1'))
    const write = context.atLeastOnce('write', () => map.idempotently('x').remove('a'))
    expect(await thrown(write)).toBeInstanceOf(NestedStepError)
    expect(await map.get('a')).toStrictEqual(bytes('1'))
  })

  test('waits for a store that is away, and applies once what may have been applied', async () => {
    const call = new TestCall()
    let failures = 2
    const { changeMap } = call.store
    call.store.changeMap = async (...args) => {
      const outcome = await changeMap(...args)
      if (failures-- > 0) throw new StoreError('store-timeout', 'late')
      return outcome
    }
    await call
      .node()
      .context.map('m')
      .insert({ a: bytes('1') })
    expect(await sortedMap(call.store, 'm').get('a')).toStrictEqual(bytes('1'))
  })
})

test('as a model: any sequence of changes reads like an ordinary sorted map', async () => {
  const key = fc.string({ unit: 'grapheme', maxLength: 3 })
  const change = fc.oneof(
    fc.record({
      set: fc.dictionary(
        key.filter((k) => k !== '__proto__'),
        fc.uint8Array({ maxLength: 4 }),
      ),
    }),
    fc.record({ remove: fc.array(key, { maxLength: 4 }) }),
  )
  const range = fc.record(
    { from: key, to: key, after: key, limit: fc.integer({ min: 1, max: 5 }) },
    { requiredKeys: [] },
  )
  const property = fc.asyncProperty(fc.array(change, { maxLength: 8 }), range, async (changes, options) => {
    const map = sortedMap(new MemoryContextStore(), 'm')
    const model = new Map<string, Uint8Array>()
    for (const each of changes) {
      if ('set' in each) {
        await map.insert(each.set)
        for (const [k, v] of Object.entries(each.set)) model.set(k, v)
      } else {
        await map.remove(each.remove)
        for (const k of each.remove) model.delete(k)
      }
    }
    const sorted = [...model].toSorted(([a], [b]) => compareKeys(a, b))
    const { from = '', to, after, limit = 100 } = options
    const inside = sorted.filter(
      ([k]) => compareKeys(k, from) >= 0 && (to === undefined || compareKeys(k, to) < 0),
    )
    const up = inside.filter(([k]) => after === undefined || compareKeys(k, after) > 0)
    const down = inside.toReversed().filter(([k]) => after === undefined || compareKeys(k, after) < 0)
    expect(await map.range(options)).toStrictEqual(up.slice(0, limit))
    expect(await map.reverseRange(options)).toStrictEqual(down.slice(0, limit))
  })
  await fc.assert(property)
})
