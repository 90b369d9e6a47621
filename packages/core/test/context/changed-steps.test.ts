import { describe, expect, test, vi } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import {
  AtMostOnceFailedBeforeCompleting,
  CallStoppedError,
  DivergenceError,
} from '../../src/context/errors.js'
import { TestCall, thrown } from './support.js'

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const body = vi.fn<() => number>(() => 7)

/** A step under the same name, as the code of each deploy may have it. */
const STEPS: Record<string, (ctx: DurableContext) => Promise<unknown>> = {
  body: (ctx) => ctx.atLeastOnce('s', body),
  elicit: (ctx) => ctx.elicit('s', form),
  listRoots: (ctx) => ctx.listRoots('s'),
  now: (ctx) => ctx.now('s'),
  random: (ctx) => ctx.random('s'),
  sample: (ctx) => ctx.sample('s', { messages: [], maxTokens: 1 }),
  sleep: (ctx) => ctx.sleep('s', 0),
  state: (ctx) => ctx.state.set(1, { name: 's' }),
  uuid7: (ctx) => ctx.uuid7('s'),
}
const ANSWERS: Record<string, Record<string, unknown>> = {
  elicit: { action: 'decline' },
  listRoots: { roots: [] },
  sample: { role: 'user', content: { type: 'text' }, model: 'm' },
}
const kinds = Object.keys(STEPS)
const changes = kinds.flatMap((was) => kinds.filter((is) => is !== was).map((is) => [was, is] as const))

function answered(kind: string): TestCall {
  const call = new TestCall()
  const answer = ANSWERS[kind]
  if (answer) call.answer('s', answer)
  return call
}

describe('a step that is of another kind after a deploy', () => {
  test.each(changes)('%s, now %s', async (was, is) => {
    const call = answered(was)
    const recorded = await STEPS[was]!(call.node().context)
    const records = structuredClone(call.records)
    body.mockClear()
    const error = await thrown(STEPS[is]!(call.node().context))
    expect(error).toBeInstanceOf(DivergenceError)
    expect(error).toMatchObject({ code: 'divergence', data: { step: 's', was, is, position: 1 } })
    expect(body).not.toHaveBeenCalled()
    // Nothing is lost: a deploy back finds it.
    expect(call.records).toEqual(records)
    expect(await STEPS[was]!(call.node().context)).toEqual(recorded)
  })

  test('stops the call, whatever the handler makes of the error', async () => {
    const call = new TestCall()
    await call.node().run(async (ctx) => [await ctx.now('s'), await ctx.now('t')])
    const node = call.node()
    body.mockClear()
    const stopped = await thrown(
      node.run(async (ctx) => {
        expect(await thrown(ctx.sleep('s', 1))).toBeInstanceOf(DivergenceError)
        await ctx.atLeastOnce('u', body)
      }) as Promise<unknown>,
    )
    expect(stopped).toBeInstanceOf(CallStoppedError)
    expect(node.diverged?.data).toMatchObject({ step: 's', was: 'now', is: 'sleep' })
    expect(body).not.toHaveBeenCalled()
  })

  test.each(['elicit', 'listRoots', 'sample'])('%s that has no answer yet', async (was) => {
    const call = new TestCall()
    const node = call.node()
    void STEPS[was]!(node.context)
    await expect.poll(() => call.questions).toHaveLength(1)
    node.cancel()
    for (const is of ['body', 'now', ...Object.keys(ANSWERS)].filter((kind) => kind !== was)) {
      expect(await thrown(STEPS[is]!(call.node().context))).toBeInstanceOf(DivergenceError)
    }
  })

  test('the message says what to do', async () => {
    const call = new TestCall()
    await call.node().context.now('at')
    const { message } = await thrown(call.node().context.atMostOnce('at', body))
    expect(message).toMatch(/"at".* was ctx\.now\(\).* is ctx\.atLeastOnce\(\).*ctx\.patched\(\)/)
  })
})

test('records of earlier versions, which do not say of what kind they are, are given out', async () => {
  for (const kind of kinds) {
    const call = answered(kind)
    const recorded = await STEPS[kind]!(call.node().context)
    for (const record of call.records) delete record.kind
    expect(await STEPS[kind]!(call.node({ partial: true }).context)).toEqual(recorded)
  }
})

test('a sleep of an earlier version, recorded when it began, sleeps the rest of its time', async () => {
  const call = new TestCall()
  call.records.push({ id: 's', phase: 'done', value: `[${Date.now() + 40}]` })
  const slept = call.node().run(async (ctx) => {
    const until = Promise.race([ctx.sleep('s', 1000), ctx.now('first')])
    return [await until, await ctx.now('second')]
  })
  const [first] = (await slept) as [number | undefined]
  expect(first).toBeTypeOf('number')
  expect(call.phases('s')[0]).toBe('done')
})

test('a step that was at most once, and may have begun, is not run by code that has it at least once', async () => {
  const call = new TestCall()
  const node = call.node()
  void node.context.atMostOnce('charge', () => new Promise(() => undefined))
  await expect.poll(() => call.phases('charge')).toEqual(['started'])
  void node.crash()
  body.mockClear()
  const error = await thrown(call.node().context.atLeastOnce('charge', body))
  expect(error).toBeInstanceOf(AtMostOnceFailedBeforeCompleting)
  expect(body).not.toHaveBeenCalled()
})

test.each(['atLeastOnce', 'atMostOnce'] as const)(
  'what %s has ended, the other one gives out',
  async (was) => {
    const is = was === 'atLeastOnce' ? 'atMostOnce' : 'atLeastOnce'
    const call = new TestCall()
    await call.node().context[was]('s', () => 'done')
    expect(await call.node().context[is]('s', body)).toBe('done')
  },
)
