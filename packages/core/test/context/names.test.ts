import { describe, expect, test } from 'vitest'
import { decodeName, encodeName, keyOf } from '../../src/call/question-names.js'
import type { DurableContext } from '../../src/context/context.js'
import { digest } from '../../src/ids.js'
import { NAMES } from '../../src/testing/stores.js'
import { TestCall, thrown } from './support.js'

const HALVES = ['\ud800', '\ud801', 'a\ud800', 'a\udc00', '\udc00\ud800']
const ONE_LINE = [...NAMES, ...HALVES].filter((name) => !name.includes('\n'))

test('no digest is that of another text', () => {
  const texts = [...NAMES, ...HALVES, '']
  expect(new Set(texts.map(digest)).size).toBe(texts.length)
  // As it is in journals and key names.
  expect(digest('a')).toBe('ypeBEsobvcr6wjGzmiPcTa')
})

test('no question is answered by the name of another', () => {
  const names = [...ONE_LINE, ...[...NAMES, ...HALVES].map((key) => `a\n${key}`), '"a"', '"\\ud800"']
  expect(new Set(names.map(keyOf)).size).toBe(names.length)
  expect(names.map((name) => decodeName(encodeName(name)))).toEqual(names)
})

describe('steps', () => {
  test('of names and keys that differ, however little, are different ones', async () => {
    const run = async (ctx: DurableContext) => {
      const seen: unknown[] = []
      for (const name of ONE_LINE) {
        seen.push(await ctx.atLeastOnce(name, ({ idempotencyKey }) => [name, idempotencyKey]))
      }
      for (const key of [...NAMES, ...HALVES, '']) {
        const step = ({ idempotencyKey }: { idempotencyKey: string }) => [key, idempotencyKey]
        seen.push(await ctx.atLeastOnce('a', step, { key }))
      }
      return seen as [name: string, idempotencyKey: string][]
    }
    const call = new TestCall()
    const first = await call.node().run(run)
    if (first === 'crashed') throw new Error(first)
    expect(first.map(([name]) => name)).toEqual([...ONE_LINE, ...NAMES, ...HALVES, ''])
    expect(new Set(first.map(([, key]) => key)).size).toBe(first.length)
    expect(await call.node().run(run)).toEqual(first)
  })
})

describe('the state of a session', () => {
  test('has a value for each key', async () => {
    const call = new TestCall()
    const change = async (ctx: DurableContext) => {
      for (const key of NAMES) await ctx.state.of(key).set(key)
      return Promise.all(NAMES.map((key) => ctx.state.of(key).get()))
    }
    expect(await call.node().run(change)).toEqual(NAMES)
    expect(await call.node().run(change)).toEqual(NAMES)
  })

  test.each([...HALVES, 7 as never])('refuses %j as a key, which a store would not keep as it is', (key) => {
    expect(() => new TestCall().node().context.state.of(key)).toThrow(TypeError)
  })
})

describe('maps', () => {
  test('and aliases and keys of them differ as their names do', async () => {
    const call = new TestCall()
    const bytes = (text: string) => new TextEncoder().encode(text)
    const change = async (ctx: DurableContext) => {
      for (const name of NAMES) {
        await ctx.map(name).insert([[name, bytes(name)]])
        await ctx
          .map('all')
          .idempotently(name)
          .insert([[name, bytes(name)]])
      }
      const each = await Promise.all(
        NAMES.map(async (name) => (await ctx.map(name).range()).map(([key]) => key)),
      )
      return [each, (await ctx.map('all').range()).length] as const
    }
    const expected = [NAMES.map((name) => [name]), NAMES.length]
    expect(await call.node().run(change)).toEqual(expected)
    expect(await call.node().run(change)).toEqual(expected)
  })

  test.each(HALVES)('refuse %j', async (half) => {
    const { context } = new TestCall().node()
    expect(() => context.map(half)).toThrow(TypeError)
    expect(() => context.map('m').idempotently(half)).toThrow(TypeError)
    expect(await thrown(context.map('m').insert([[half, new Uint8Array()]]))).toBeInstanceOf(TypeError)
  })
})
