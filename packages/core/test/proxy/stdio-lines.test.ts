import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Lines } from '../../src/proxy/stdio/lines.js'
import type { Line } from '../../src/proxy/stdio/lines.js'
import { idsIn, isNoAnswer } from '../../src/proxy/stdio/unread.js'

// What a process writes comes in pieces of any size.

const MOST = 5000

function cut(bytes: Buffer, sizes: readonly number[]): Line[] {
  const lines = new Lines(MOST)
  const found: Line[] = []
  let from = 0
  for (let n = 0; from < bytes.length; n++) {
    const to = from + Math.max(1, sizes[n % sizes.length] ?? 1)
    found.push(...lines.push(bytes.subarray(from, to)))
    from = to
  }
  const rest = lines.rest()
  return rest ? [...found, rest] : found
}

test('lines are the same however they are cut; of one that is too long both ends are left', () => {
  const line = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc.nat(3 * MOST).map((size) => `a${'x'.repeat(size)}z`),
  )
  const sizes = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), sizes, (given, pieces) => {
      const written = given.map((text) => text.replaceAll('\n', ' '))
      const found = cut(Buffer.from(written.map((text) => `${text}\n`).join('')), pieces)
      expect(found).toHaveLength(written.length)
      for (const [n, { text, isWhole }] of found.entries()) {
        expect(isWhole).toBe(Buffer.byteLength(written[n]!) <= MOST)
        if (isWhole) expect(text).toBe(written[n])
        else expect(text).toMatch(/^ax{1023}x{1023}z$/)
      }
    }),
  )
})

test('what comes last and has no end is marked', () => {
  expect(cut(Buffer.from('one\ntwo'), [2])).toEqual([
    { text: 'one', isWhole: true, hasEnd: true },
    { text: 'two', isWhole: true, hasEnd: false },
  ])
})

test.each([
  ['{"jsonrpc":"2.0","id":7,"result":{"content":[', [7]],
  ['xxx"}]},"jsonrpc":"2.0","id":8}', [8]],
  ['{"id": 3, "jsonrpc": "2.0", "result": xxx', [3]],
  ['{"jsonrpc":"2.0","method":"sampling/createMessage","params":xxx,"id":5}', []],
  ['{"jsonrpc":"2.0","id":5,"method":"roots/list","params":xxx', []],
  ['{"jsonrpc":"2.0","id":"text","result":', []],
  ['Server listens, "id": 4', []],
])('the id of an answer in %s', (text, ids) => {
  expect(idsIn(text).filter((id) => !Number.isNaN(id))).toEqual(ids)
  expect(isNoAnswer(text)).toBe(text.includes('"method"'))
})
