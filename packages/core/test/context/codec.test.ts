import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue, isEncodable } from '../../src/context/codec.js'

const again = (value: unknown) => decodeValue(encodeValue(value))

test('any plain data survives', () => {
  const data = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: true,
    withSparseArray: true,
    withUnicodeString: true,
    // No codec of JSON can have it as a key without danger.
    key: fc.string().filter((key) => key !== '__proto__'),
  })
  const property = fc.property(data, (value) => {
    expect(again(value)).toEqual(value)
  })
  fc.assert(property, { numRuns: 500 })
})

describe('what JSON loses is kept', () => {
  test.each([
    undefined,
    null,
    Number.NaN,
    -0,
    Number.POSITIVE_INFINITY,
    2n ** 100n,
    new Date(1e12),
    new Uint8Array([1, 2, 255]),
    new Float64Array([1.5]),
    new Map<unknown, unknown>([[{ a: 1 }, new Set([undefined])]]),
    { a: undefined },
    Object.assign(Array.from({ length: 0 }), { 2: 'sparse' }),
    '\u0000\u2028\ud800 \u{1f600}',
    /x/gi,
  ])('%o', (value) => {
    expect(again(value)).toStrictEqual(value)
  })

  test('repeated and circular references', () => {
    const shared = { n: 1 }
    const value: Record<string, unknown> = { a: shared, b: shared }
    value['self'] = value
    const copy = again(value) as typeof value
    expect(copy['a']).toBe(copy['b'])
    expect(copy['self']).toBe(copy)
  })
})

test('a window onto a buffer is recorded without what is around it', () => {
  const secret = Buffer.from('secret data secret')
  for (const window of [secret.subarray(7, 11), new Uint8Array(secret.buffer, secret.byteOffset + 7, 4)]) {
    expect(again(window)).toStrictEqual(new Uint8Array(Buffer.from('data')))
    expect(encodeValue(window).length).toBeLessThan(60)
  }
  const small = again({ b: Buffer.from('x') }) as { b: Uint8Array }
  expect(small.b.buffer.byteLength).toBe(1)
  const words = new Uint16Array([1, 2, 3]).subarray(1)
  expect(again(words)).toStrictEqual(new Uint16Array([2, 3]))
  expect(again(Buffer.alloc(0).subarray(0))).toStrictEqual(new Uint8Array())
})

test('functions, symbols, promises and instances of classes have no recorded form', () => {
  for (const value of [() => 1, Symbol('x'), Promise.resolve(), new Headers(), { deep: [new Error('x')] }])
    expect(isEncodable(value)).toBe(false)
})

test('data that is nested too deeply is refused, not fatal', () => {
  let deep: unknown = 1
  for (let i = 0; i < 1e5; i++) deep = [deep]
  expect(isEncodable(deep)).toBe(false)
})
