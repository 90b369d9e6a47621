import { describe, expect, test, vi } from 'vitest'
import { durableFetch } from '../../src/client/durable-fetch.js'
import { Alarms } from '../../src/context/alarms.js'
import { deadlineOf } from '../../src/context/call-log.js'
import { encodeValue } from '../../src/context/codec.js'
import type { DurableContext } from '../../src/context/context.js'
import { durableTool } from '../../src/context/durable-handlers.js'
import { StepTimeoutError } from '../../src/context/errors.js'
import { realTimeAndChance } from '../../src/context/time-and-chance.js'
import { durable } from '../../src/durable.js'
import { crashTest } from '../../src/testing/crash-test.js'
import { TestCall, thrown } from './support.js'

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const NO_TIMES = [Number.NaN, '200', -1, null] as never[]

describe.each(NO_TIMES)('%j is no time', (ms) => {
  const body = vi.fn<() => void>()
  const uses: Record<string, (ctx: DurableContext) => Promise<unknown>> = {
    sleep: (ctx) => ctx.sleep('s', ms),
    elicit: (ctx) => ctx.elicit('s', form, { timeoutMs: ms }),
    sample: (ctx) => ctx.sample('s', { messages: [], maxTokens: 1 }, { timeoutMs: ms }),
    listRoots: (ctx) => ctx.listRoots('s', { timeoutMs: ms }),
    timeoutMs: (ctx) => ctx.atLeastOnce('s', body, { timeoutMs: ms }),
    'timeoutMs, at most once': (ctx) => ctx.atMostOnce('s', body, { timeoutMs: ms }),
    initialMs: (ctx) => ctx.atLeastOnce('s', body, { backoff: { initialMs: ms } }),
    factor: (ctx) => ctx.atLeastOnce('s', body, { backoff: { factor: ms } }),
  }
  test.each(Object.entries(uses))('%s', async (_what, use) => {
    const call = new TestCall()
    const error = await thrown(use(call.node().context))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(/"s" is a number.*, not negative.* It is (the number|a string|null)/)
    expect(call.records).toEqual([])
    expect(call.questions).toEqual([])
    expect(body).not.toHaveBeenCalled()
  })

  test('of a node, a client, and a test', async () => {
    const mcp = durable({ handler: () => new Response() })
    await expect(mcp.health({ timeoutMs: ms })).rejects.toThrow(/health\(\): `timeoutMs` is/)
    await expect(mcp.drain({ graceMs: ms })).rejects.toThrow(/drain\(\): `graceMs` is/)
    await expect(mcp.close({ graceMs: ms })).rejects.toThrow(/close\(\): `graceMs` is/)
    await mcp.close({ graceMs: 0 })
    expect(() => durableFetch({ giveUpAfterMs: ms })).toThrow(/durableFetch\(\): `giveUpAfterMs` is/)
    const tool = durableTool(() => ({ content: [] }))
    await expect(crashTest(tool, {}, { withinMs: ms })).rejects.toThrow(/crashTest\(\): `withinMs` is/)
  })
})

test('a part of the backoff that is not given is as it would be without', async () => {
  const body = vi.fn<() => string>(() => 'value')
  body.mockImplementationOnce(() => {
    throw new Error('not yet')
  })
  const node = new TestCall().node()
  const backoff = { initialMs: undefined, maxMs: 1, jitter: 0 } as never
  expect(await node.context.atLeastOnce('s', body, { backoff })).toBe('value')
  expect(node.told).toMatchObject([{ fields: { nextTryMs: 1 } }])
})

test('a question may wait for ever', async () => {
  const call = new TestCall()
  const asked = call.node().context.elicit('q', form, { timeoutMs: Number.POSITIVE_INFINITY })
  await vi.waitFor(() => expect(call.questions).toHaveLength(1))
  call.answer('q', { action: 'decline' })
  expect(await asked).toEqual({ action: 'decline' })
})

test('an alarm without a time goes off at once, and others do at theirs', async () => {
  const alarms = new Alarms(realTimeAndChance, (turn) => setImmediate(() => turn.settle()))
  const gone: string[] = []
  const later = Date.now() + 20
  await new Promise<void>((resolve) => {
    alarms.add(later, () => {
      gone.push('later')
      resolve()
    })
    alarms.add(Number.NaN, () => void gone.push('without'))
    alarms.add(1, () => void gone.push('long ago'), Number.NaN)
  })
  expect(gone).toEqual(['without', 'long ago', 'later'])
})

test('a question whose recorded time is no number is over, as soon as its answer was looked for', async () => {
  const call = new TestCall()
  call.records.push({ id: deadlineOf('q'), phase: 'done', value: encodeValue(Number.NaN) })
  const error = await thrown(call.node().context.elicit('q', form, { timeoutMs: 60_000 }))
  expect(error).toBeInstanceOf(StepTimeoutError)
})
