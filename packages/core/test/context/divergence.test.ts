import { expect, test, vi } from 'vitest'
import { CatchUp } from '../../src/context/catch-up.js'
import type { CallLog } from '../../src/context/call-log.js'
import type { DurableContext } from '../../src/context/context.js'
import { DivergenceError } from '../../src/context/errors.js'
import type { Divergence } from '../../src/context/divergence.js'
import { TestCall, thrown } from './support.js'
import type { TestNode } from './support.js'

type Code = (ctx: DurableContext) => Promise<unknown>
const QUICK = { patienceMs: 5 }
/** No test lives so long: what passes has waited for nothing. */
const PATIENT = { patienceMs: 600_000 }
const never = new Promise<never>(() => undefined)

/** A call whose node has died when so many steps had ended. */
async function killed(code: Code, ended: number) {
  const call = new TestCall()
  const node = call.node()
  void node.run(code)
  await expect.poll(() => call.records.filter(({ phase }) => phase === 'done')).toHaveLength(ended)
  void node.crash()
  return call
}

/** What `code` comes to in place of the one that was killed; its records must be as they were. */
async function parted(call: TestCall, code: Code): Promise<{ data: Divergence; node: TestNode }> {
  const records = structuredClone(call.records)
  const node = call.node(QUICK)
  await node.run(code).catch(() => undefined)
  expect(call.records).toEqual(records)
  expect(node.diverged).toBeInstanceOf(DivergenceError)
  return { data: node.diverged!.data, node }
}

const effect = vi.fn<() => string>(() => 'done')
const ran = (count: number) => {
  expect(effect).toHaveBeenCalledTimes(count)
  effect.mockClear()
}

test('a step with another name is not run in place of one that has ended', async () => {
  const call = await killed(async (ctx) => [await ctx.atMostOnce('charge', effect), await never], 1)
  ran(1)
  const seen: unknown[] = []
  const { data } = await parted(call, async (ctx) => {
    // Swallowed: nothing after it counts.
    seen.push(await thrown(ctx.atMostOnce('charge-card', effect)))
    seen.push(await thrown(ctx.atLeastOnce('ship', effect)))
    return 'answer'
  })
  expect(data).toEqual({ step: 'charge-card', expected: 'charge', position: 1 })
  expect(seen).toMatchObject([{ code: 'divergence' }, { code: 'call-stopped' }])
  ran(0)
})

test('nor in place of one that may have had its effect', async () => {
  const call = new TestCall()
  const first = call.node()
  void first.run((ctx) => ctx.atMostOnce('charge', () => never))
  await expect.poll(() => call.phases('charge')).toEqual(['started'])
  void first.crash()
  const { data } = await parted(call, (ctx) => ctx.atMostOnce('charge-card', effect))
  expect(data).toMatchObject({ step: 'charge-card', expected: 'charge' })
  ran(0)
})

test('nor is one that has no outcome yet done again before the others', async () => {
  const refused = () => {
    effect()
    throw new RangeError('not now')
  }
  const backoff = { initialMs: 600_000, maxMs: 600_000 }
  const old: Code = async (ctx) => {
    await ctx.now('at')
    return ctx.atMostOnce('charge', refused, { retryable: [RangeError], backoff })
  }
  const call = new TestCall()
  const first = call.node()
  void first.run(old)
  await expect.poll(() => call.phases('charge')).toEqual(['started', 'cleared'])
  void first.crash()
  first.cancel()
  ran(1)
  const { data } = await parted(call, (ctx) => ctx.atMostOnce('charge', effect))
  expect(data).toEqual({ step: 'charge', expected: 'at', position: 2 })
  ran(0)
  expect(
    await call
      .node(PATIENT)
      .run(async (ctx) => [await ctx.now('at'), await ctx.atMostOnce('charge', effect)]),
  ).toHaveLength(2)
  ran(1)
})

test('one that began, and has no outcome, waits for the code that fits, which hears that', async () => {
  const old: Code = async (ctx) => [
    await ctx.now('at'),
    await thrown(ctx.atMostOnce('charge', () => (effect(), never))),
  ]
  const call = new TestCall()
  const first = call.node()
  void first.run(old)
  await expect.poll(() => call.phases('charge')).toEqual(['started'])
  void first.crash()
  ran(1)
  // It does not decide what has become of it, either.
  await parted(call, (ctx) => ctx.atMostOnce('charge', effect))
  const outcome = (await call.node(PATIENT).run(old)) as unknown[]
  expect(outcome[1]).toMatchObject({ name: 'AtMostOnceFailedBeforeCompleting' })
  ran(0)
})

test('nor before one that has ended: that is what ctx.patched() is for', async () => {
  const old: Code = async (ctx) => [await ctx.now('at'), await ctx.atLeastOnce('charge', effect)]
  const call = await killed(async (ctx) => [await old(ctx), await never], 2)
  ran(1)
  const fresh: Code = async (ctx) => [
    await ctx.now('at'),
    await ctx.atLeastOnce('check', effect),
    await ctx.atLeastOnce('charge', effect),
  ]
  const { data } = await parted(call, fresh)
  expect(data).toEqual({ step: 'check', expected: 'charge', position: 2 })
  const node = call.node(PATIENT)
  await node.run((ctx) => (ctx.patched('check') ? fresh(ctx) : old(ctx)))
  expect(node.diverged).toBeUndefined()
  ran(0)
})

test('a handler that returns without a recorded step is not answered', async () => {
  const call = await killed(async (ctx) => [await ctx.now('at'), await ctx.now('then'), await never], 2)
  const { data, node } = await parted(call, (ctx) => ctx.now('at'))
  expect(data).toEqual({ expected: 'then', position: 2 })
  expect(node.handled).toBeUndefined()
})

test('one that throws before is: it may have checked who calls', async () => {
  const call = await killed(async (ctx) => [await ctx.now('at'), await never], 1)
  const node = call.node(PATIENT)
  expect(await thrown(node.run(() => Promise.reject(new Error('not yours'))))).toMatchObject({
    message: 'not yours',
  })
  expect(node.diverged).toBeUndefined()
})

test('steps side by side: what had not ended begins when the others have come as far as they had, without a pause', async () => {
  let isFirst = true
  const code: Code = (ctx) =>
    Promise.all([
      ctx.atLeastOnce('slow', () => (isFirst ? never : 'slow')),
      (async () => {
        for (const key of ['1', '2', '3']) await ctx.atLeastOnce('item', effect, { key })
        return ctx.atLeastOnce('last', () => (isFirst ? never : 'last'))
      })(),
    ])
  const call = await killed(code, 3)
  ran(3)
  isFirst = false
  const node = call.node(PATIENT)
  expect(await node.run(code)).toEqual(['slow', 'last'])
  expect(node.diverged).toBeUndefined()
  ran(0)
})

test('steps that have changed places fit, also beside a new one that waits no longer than they do', async () => {
  const call = await killed(async (ctx) => [await ctx.now('at'), await ctx.now('then'), await never], 2)
  const node = call.node({ patienceMs: 5, divergesAfterMs: 40 })
  const changed = async (ctx: DurableContext) => [await ctx.now('then'), await ctx.now('at')]
  await node.run((ctx) => Promise.all([ctx.atLeastOnce('new', effect), changed(ctx)]))
  expect(node.diverged).toBeUndefined()
  expect(node.told).toMatchObject([{ level: 'warn', fields: { steps: ['at'] } }])
  ran(1)
})

test('what the code does beside its steps may take as long as it likes', async () => {
  const code: Code = async (ctx) => {
    await ctx.now('at')
    await new Promise((resolve) => setTimeout(resolve, 60))
    await ctx.now('then')
    return ctx.atLeastOnce('new', effect)
  }
  const call = await killed(async (ctx) => [await ctx.now('at'), await ctx.now('then'), await never], 2)
  const node = call.node(QUICK)
  expect(await node.run(code)).toBe('done')
  expect(node.diverged).toBeUndefined()
  ran(1)
})

test('it is waited for as long as is said, however long that is', async () => {
  const log = { recordedSteps: () => ['at'] } as unknown as CallLog
  const catchUp = new CatchUp(log, new Set(), 1000 * 86_400_000, { isHeldUp: false })
  const over = vi.fn<() => void>()
  catchUp.until('new').then(over, over)
  await new Promise((resolve) => setTimeout(resolve, 80))
  expect(over).not.toHaveBeenCalled()
  catchUp.stop()
})

test('names in it have no keys, which may be the users’ data', async () => {
  const call = await killed(async (ctx) => [await ctx.now('at', { key: 'ann' }), await never], 1)
  const { data, node } = await parted(call, (ctx) => ctx.now('then', { key: 'bob' }))
  expect(data).toMatchObject({ step: 'then', expected: 'at' })
  expect(node.diverged!.message).not.toMatch(/ann|bob/)
})
