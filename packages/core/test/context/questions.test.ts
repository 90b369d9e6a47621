import { afterEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import type { ElicitContent } from '../../src/context/answers.js'
import {
  CallStoppedError,
  ClientCapabilityError,
  DuplicateStepError,
  NestedStepError,
  QuestionRefusedError,
  StepTimeoutError,
  StepValueError,
} from '../../src/context/errors.js'
import { TestCall, thrown } from './support.js'
import type { TestNode } from './support.js'

const form = {
  message: 'ship now?',
  requestedSchema: {
    type: 'object' as const,
    properties: { ok: { type: 'boolean' }, note: { type: 'string', maxLength: 5 } },
    required: ['ok'],
  },
}
const yes = { action: 'accept', content: { ok: true } }

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('elicit', () => {
  test('is asked once and answered once, in whichever run', async () => {
    const call = new TestCall()
    const first = call.node().context.elicit('ship', form)
    await vi.waitFor(() => expect(call.questions).toHaveLength(1))
    void first.catch(() => undefined)
    const second = call.node().context.elicit('ship', form)
    call.answer('ship', yes)
    expect(await second).toEqual(yes)
    expect(await call.node().context.elicit('ship', form)).toEqual(yes)
    expect(call.questions).toEqual([{ name: 'ship', method: 'elicitation/create', params: form }])
  })

  test('an answer that came while no node ran the call is given at once', async () => {
    const call = new TestCall()
    const crashed = call.node({ crash: { at: 1, when: 'applied' } })
    void crashed.context.elicit('ship', form)
    await crashed.died
    call.answer('ship', yes)
    expect(await call.node().context.elicit('ship', form)).toEqual(yes)
    expect(call.questions).toHaveLength(1)
  })

  test('the content is checked against the schema, on a replay too', async () => {
    const call = new TestCall()
    const schema = z.object({ ok: z.boolean().transform((ok) => (ok ? 'yes' : 'no')) })
    const run = () => call.node().context.elicit('ship', form, { schema })
    call.answer('ship', yes)
    expect(await run()).toEqual({ action: 'accept', content: { ok: 'yes' } })
    expect(await run()).toEqual({ action: 'accept', content: { ok: 'yes' } })
    expectTypeOf(run).returns.resolves.toEqualTypeOf<
      | { action: 'accept'; content: { ok: 'yes' | 'no' } }
      | { action: 'decline' | 'cancel'; content?: undefined }
    >()
    const plain = (c: TestCall) => c.node().context.elicit('ship', form)
    expectTypeOf(plain).returns.resolves.toEqualTypeOf<
      | { action: 'accept'; content: ElicitContent | undefined }
      | { action: 'decline' | 'cancel'; content?: undefined }
    >()
  })

  test.each(['decline', 'cancel'])('%s has no content, and needs none', async (action) => {
    const call = new TestCall()
    call.answer('ship', { action, content: null })
    const schema = z.object({ ok: z.boolean() })
    expect(await call.node().context.elicit('ship', form, { schema })).toEqual({ action })
  })

  test.each([
    ['no action', { content: { ok: true } }],
    ['another action', { action: 'maybe' }],
    ['nested content', { action: 'accept', content: { ok: { deep: true } } }],
    ['content that was not asked for', { action: 'accept', content: { ok: 'yes' } }],
    ['missing content', { action: 'accept', content: {} }],
    ['no content', { action: 'accept' }],
    ['too long content', { action: 'accept', content: { ok: true, note: 'too long' } }],
  ])('%s is an error, recorded', async (_what, answer) => {
    const call = new TestCall()
    call.answer('ship', answer)
    for (let run = 0; run < 2; run++) {
      const error = await thrown(call.node().context.elicit('ship', form))
      expect(error).toBeInstanceOf(StepValueError)
      expect(error.message).toContain('"ship"')
    }
    expect(call.phases('ship')).toEqual(['failed'])
  })

  test('content that does not fit the schema of the caller is an error', async () => {
    const call = new TestCall()
    call.answer('ship', yes)
    const schema = z.object({ ok: z.literal(false) })
    expect(await thrown(call.node().context.elicit('ship', form, { schema }))).toBeInstanceOf(StepValueError)
  })

  test('a URL is asked for in its own mode', async () => {
    const call = new TestCall()
    call.clientCapabilities = { elicitation: { url: {} } }
    call.answer('pay', { action: 'accept' })
    const params = { mode: 'url' as const, message: 'm', url: 'https://x.test', elicitationId: '1' }
    expect(await call.node().context.elicit('pay', params)).toEqual({ action: 'accept', content: undefined })
    expect(call.questions[0]?.params).toEqual(params)
  })

  test('a refusal is an error with what the client said, recorded', async () => {
    const call = new TestCall()
    call.respond('ship', { jsonrpc: '2.0', id: 1, error: { code: -1, message: 'not here', data: 7 } })
    for (let run = 0; run < 2; run++) {
      const error = await thrown(call.node().context.elicit('ship', form))
      expect(error).toBeInstanceOf(QuestionRefusedError)
      expect(error.message).toContain('not here')
      expect(error.data).toEqual({ step: 'ship', error: { code: -1, message: 'not here', data: 7 } })
    }
  })

  test('questions are steps', async () => {
    const call = new TestCall()
    call.answer('s\n2', yes)
    const { context } = call.node()
    await context.atLeastOnce('s', () => 1)
    expect(await thrown(context.elicit('s', form))).toBeInstanceOf(DuplicateStepError)
    expect(await context.elicit('s', form, { key: 2 })).toEqual(yes)
    const inside = context.atLeastOnce('outer', () => context.elicit('inner', form))
    expect(await thrown(inside)).toBeInstanceOf(NestedStepError)
  })

  test('a stopped call stops waiting, and records nothing', async () => {
    const call = new TestCall()
    const node = call.node()
    const asked = thrown(node.context.elicit('ship', form))
    await vi.waitFor(() => expect(call.questions).toHaveLength(1))
    node.cancel()
    expect(await asked).toBeInstanceOf(CallStoppedError)
    await turns()
    expect(call.records).toEqual([])
  })
})

describe('sample and listRoots', () => {
  const params = {
    messages: [{ role: 'user' as const, content: { type: 'text', text: 'hi' } }],
    maxTokens: 5,
  }

  test('are asked once and answered once', async () => {
    const call = new TestCall()
    const sampled = { role: 'assistant', content: { type: 'text', text: 'ho' }, model: 'm', extra: 1 }
    call.answer('s', sampled)
    call.answer('r', { roots: [{ uri: 'file:///x', name: 'x' }] })
    for (let run = 0; run < 2; run++) {
      const { context } = call.node()
      expect(await context.sample('s', params)).toEqual(sampled)
      expect(await context.listRoots('r')).toEqual({ roots: [{ uri: 'file:///x', name: 'x' }] })
    }
    expect(call.questions).toEqual([
      { name: 's', method: 'sampling/createMessage', params },
      { name: 'r', method: 'roots/list', params: undefined },
    ])
  })

  test('an answer of another shape is an error', async () => {
    const call = new TestCall()
    call.answer('s', { content: 'ho' })
    call.answer('r', { roots: [{ name: 'x' }] })
    const { context } = call.node()
    expect(await thrown(context.sample('s', params))).toBeInstanceOf(StepValueError)
    expect(await thrown(context.listRoots('r'))).toBeInstanceOf(StepValueError)
  })
})

test.each([
  [{}, 'form', false],
  [{ elicitation: {} }, 'form', true],
  [{ elicitation: {} }, 'url', false],
  [{ elicitation: { form: {} } }, 'form', true],
  [{ elicitation: { url: {} } }, 'form', false],
  [{ elicitation: { url: {}, form: {} } }, 'url', true],
  [{}, 'sample', false],
  [{ sampling: {} }, 'sample', true],
  [{ sampling: {} }, 'sample with tools', false],
  [{ sampling: { tools: {} } }, 'sample with tools', true],
  [{}, 'roots', false],
  [{ roots: { listChanged: true } }, 'roots', true],
])('with the capabilities %o, %s: %s', async (capabilities, what, allowed) => {
  const call = new TestCall()
  call.clientCapabilities = capabilities
  const { context } = call.node()
  const url = { mode: 'url' as const, message: 'm', url: 'https://x.test', elicitationId: '1' }
  const asked = {
    form: () => context.elicit('q', form),
    url: () => context.elicit('q', url),
    sample: () => context.sample('q', { messages: [], maxTokens: 1 }),
    'sample with tools': () => context.sample('q', { messages: [], maxTokens: 1, tools: [] }),
    roots: () => context.listRoots('q'),
  }[what as 'form']()
  if (allowed) await vi.waitFor(() => expect(call.questions).toHaveLength(1))
  else {
    const error = await thrown(asked)
    expect(error).toBeInstanceOf(ClientCapabilityError)
    expect(call.questions).toEqual([])
  }
})

describe('time-outs', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const fake = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  test('a question without an answer ends, in every run', async () => {
    fake()
    const call = new TestCall()
    const asked = thrown(call.node().context.elicit('ship', form, { timeoutMs: 60_000 }))
    await turns()
    await vi.advanceTimersByTimeAsync(60_000)
    await turns()
    expect(await asked).toBeInstanceOf(StepTimeoutError)
    call.answer('ship', yes)
    expect(await thrown(call.node().context.elicit('ship', form))).toBeInstanceOf(StepTimeoutError)
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([
    { at: 3, when: 'before' },
    { at: 3, when: 'applied' },
    { at: 4, when: 'before' },
    { at: 4, when: 'applied' },
    undefined,
  ] as const)('the client is told once, whatever happens to the node: %o', async (crash) => {
    fake()
    const call = new TestCall()
    const timeOut = async (node: TestNode) => {
      const asked = thrown(node.context.elicit('ship', form, { timeoutMs: 60_000 }))
      await turns()
      await vi.advanceTimersByTimeAsync(60_000)
      await turns()
      return asked
    }
    const first = call.node({ crash })
    const [ended] = [timeOut(first), await turns()]
    if (crash) await first.died
    else await ended
    expect(await timeOut(call.node())).toBeInstanceOf(StepTimeoutError)
    const params = { requestId: 'ship', reason: expect.stringContaining('60000 ms') }
    expect(call.sent.map(({ message }) => message)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/cancelled', params },
    ])
    expect(call.phases('ship')).toEqual(['failed'])
  })

  test('the time counts from the first run', async () => {
    fake()
    const call = new TestCall()
    const first = call.node()
    void first.context.elicit('ship', form, { timeoutMs: 60_000 })
    await turns()
    await vi.advanceTimersByTimeAsync(40_000)
    first.cancel()
    const asked = thrown(call.node().context.elicit('ship', form, { timeoutMs: 60_000 }))
    await turns()
    await vi.advanceTimersByTimeAsync(20_000)
    await turns()
    expect(await asked).toBeInstanceOf(StepTimeoutError)
  })

  test('an answer that came before a late takeover still counts', async () => {
    fake()
    const call = new TestCall()
    const first = call.node()
    void first.context.elicit('ship', form, { timeoutMs: 60_000 })
    await turns()
    first.cancel()
    call.answer('ship', yes)
    vi.setSystemTime(Date.now() + 3_600_000)
    expect(await call.node().context.elicit('ship', form, { timeoutMs: 60_000 })).toEqual(yes)
  })
})
