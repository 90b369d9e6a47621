import { describe, expect, test, vi } from 'vitest'
import { NestedStepError } from '../../src/context/errors.js'
import type { DurableContext } from '../../src/context/context.js'
import { validateEffects } from '../../src/context/validate.js'
import { TestCall, thrown } from './support.js'

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const dead = async (ctx: DurableContext, before: (ctx: DurableContext) => Promise<unknown>) => {
  await before(ctx)
  throw new Error('dies here')
}

describe('ctx.patched()', () => {
  test('a call that begins with the new code goes through the change, in every run', async () => {
    const call = new TestCall()
    const handler = async (ctx: DurableContext) => [ctx.patched('p'), await ctx.now('a'), ctx.patched('p')]
    const [first, at] = (await call.node().run(handler)) as [boolean, number]
    expect(first).toBe(true)
    expect(await call.node().run(handler)).toEqual([true, at, true])
    expect(call.records.filter(({ id }) => id.includes('patch'))).toHaveLength(1)
  })

  test.each<[string, (ctx: DurableContext) => Promise<unknown>]>([
    ['a step that has ended', (ctx) => ctx.now('later')],
    [
      'an at-most-once step that has begun',
      (ctx) => ctx.atMostOnce('later', () => new Promise(() => undefined)),
    ],
    ['a sleep that has begun', (ctx) => ctx.sleep('later', 1e6)],
    ['a question that has no answer', (ctx) => ctx.elicit('later', form)],
    ['a younger change', async (ctx) => ctx.patched('younger')],
  ])('a call that old code has brought beyond that point does not: %s', async (_, later) => {
    const call = new TestCall()
    const old = call.node()
    void old.run(async (ctx) => [await ctx.now('before'), await later(ctx)]).catch(() => undefined)
    await expect.poll(() => call.records.length + call.questions.length).toBeGreaterThan(1)
    old.crash().catch(() => undefined)
    const asked: boolean[] = []
    for (let run = 1; run <= 2; run++) {
      const next = call.node()
      await next
        .run((ctx) => dead(ctx, async () => asked.push(await ctx.now('before').then(() => ctx.patched('p')))))
        .catch(() => undefined)
    }
    expect(asked).toEqual([false, false])
  })

  test('a call that old code has brought just before that point goes through it', async () => {
    const call = new TestCall()
    await call
      .node()
      .run((ctx) => dead(ctx, () => ctx.now('before')))
      .catch(() => undefined)
    const handler = async (ctx: DurableContext) => [await ctx.now('before'), ctx.patched('p')]
    expect(await call.node().run(handler)).toEqual([expect.any(Number), true])
  })

  test('in one of two branches: however far each has come by old code, and wherever the node with the new dies', async () => {
    const done: string[] = []
    const step = (ctx: DurableContext, name: string) =>
      thrown(ctx.atMostOnce(name, () => void done.push(name))).catch(() => undefined)
    const code = (isNew: boolean) => async (ctx: DurableContext) => {
      const branch = async (name: string, changes: boolean) => {
        await step(ctx, `${name}1`)
        const isPatched = changes && ctx.patched('p')
        if (isPatched) await step(ctx, `${name}-new`)
        await step(ctx, `${name}2`)
        return isPatched
      }
      const [isPatched] = await Promise.all([branch('a', isNew), branch('b', false)])
      return isPatched
    }
    const seen = new Set<unknown>()
    for (let oldDies = 1; oldDies <= 9; oldDies++) {
      for (let newDies = 1; newDies <= 10; newDies++) {
        done.length = 0
        const call = new TestCall()
        for (const [isNew, at] of [
          [false, oldDies],
          [true, newDies],
        ] as const)
          await call.node({ crash: { at, when: 'applied' } }).run(code(isNew))
        const last = call.node()
        const isPatched = await last.run(code(true))
        expect(last.diverged).toBeUndefined()
        expect(new Set(done).size).toBe(done.length)
        expect(call.phases('a-new').length > 0).toBe(isPatched)
        seen.add(isPatched)
      }
    }
    expect(seen).toEqual(new Set([true, false]))
  })

  test('is recorded before the step that follows from it, whenever the node dies', async () => {
    const effect = vi.fn<() => number>(() => 1)
    for (const at of [1, 2, 3, 4]) {
      for (const when of ['before', 'applied'] as const) {
        effect.mockClear()
        const call = new TestCall()
        const handler = async (ctx: DurableContext) =>
          ctx.patched('p') ? [true, await ctx.atLeastOnce('new', effect)] : [false, await ctx.now('old')]
        await call.node({ crash: { at, when } }).run(handler)
        expect(await call.node().run(handler)).toEqual([true, 1])
      }
    }
  })

  test('can be replayed for comparison', async () => {
    const call = new TestCall()
    const node = call.node()
    await node.run(async (ctx) => ctx.patched('p') && (await ctx.now('a')))
    const { rerun } = node.handled!
    expect(await validateEffects(call.finished(node.handled!), call.store, rerun)).toEqual([])
  })

  test('is no question for the body of a step, nor without a name', async () => {
    const { context } = new TestCall().node()
    expect(await thrown(context.atLeastOnce('s', () => context.patched('p'), { attempts: 1 }))).toMatchObject(
      {
        code: new NestedStepError('p', 's').code,
      },
    )
    expect(() => context.patched('')).toThrow(TypeError)
  })
})
