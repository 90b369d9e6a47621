import { describe, expect, test, vi } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import { durableTool } from '../../src/context/durable-handlers.js'
import { runInCall } from '../../src/context/run-context.js'
import { StepValueError } from '../../src/context/errors.js'
import { AT_ONCE, settled, TestCall, thrown } from './support.js'
import type { TestNode } from './support.js'

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const told = ({ told: lines }: TestNode, about: RegExp) => lines.filter(({ message }) => about.test(message))
const stackOf = (node: TestNode) => (node.told.at(-1)?.fields['error'] as Error | undefined)?.stack
const reading = (text: string) => JSON.parse(text) as unknown

/** A body that throws what the language throws at a mistake in it. */
const mistakes: Record<string, () => unknown> = {
  TypeError: () => (undefined as unknown as { name: string }).name,
  ReferenceError: () => {
    throw new ReferenceError('x is not defined')
  },
  SyntaxError: () => new RegExp(['(', 'x'].join('')),
}
/** What may be otherwise the next time, although it looks the same. */
const failures: Record<string, () => unknown> = {
  'a failed fetch': () => fetch('http://127.0.0.1:1/'),
  'a body that breaks off': () => {
    throw new TypeError('terminated', { cause: new Error('other side closed') })
  },
  'a failed fetch of another runtime': () => {
    throw new TypeError('error sending request for url (http://127.0.0.1:1/)')
  },
  'an answer that is not JSON': () => reading('<html>502</html>'),
  'an answer that breaks off': () => reading('{"a":'),
  'a RangeError': () => {
    throw new RangeError('out of range')
  },
  'an error of the application': () => {
    throw new (class NotReady extends TypeError {})('not ready')
  },
}

describe('a body that fails', () => {
  test.each(Object.entries(mistakes))('with a %s is not run again', async (name, mistake) => {
    const node = new TestCall().node()
    const body = vi.fn<() => unknown>(mistake)
    const error = await thrown(node.context.atLeastOnce('s', body, { backoff: AT_ONCE }))
    expect(error.name).toBe(name)
    expect(body).toHaveBeenCalledTimes(1)
    expect(node.told).toHaveLength(1)
    expect(node.told[0]).toMatchObject({ level: 'warn', fields: { step: 's', stepAttempt: 1 } })
    expect(stackOf(node)).toContain('told.test.ts')
  })

  test.each(Object.entries(failures))('with %s is', async (_name, failure) => {
    const body = vi.fn<() => unknown>(failure)
    const options = { backoff: AT_ONCE, attempts: 3 }
    await thrown(new TestCall().node().context.atLeastOnce('s', body, options))
    expect(body).toHaveBeenCalledTimes(3)
  })

  test('with a fetch of a URL that is none is not', async () => {
    const body = vi.fn<() => unknown>(() => fetch('undefined/stock'))
    const error = await thrown(new TestCall().node().context.atLeastOnce('s', body, { backoff: AT_ONCE }))
    expect(error.message).toContain('undefined/stock')
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('with a TypeError that is retryable is', async () => {
    const body = vi.fn<() => unknown>(mistakes['TypeError'])
    const options = { backoff: AT_ONCE, attempts: 3, retryable: [TypeError] }
    await thrown(new TestCall().node().context.atLeastOnce('s', body, options))
    expect(body).toHaveBeenCalledTimes(3)
  })

  test.each(['atLeastOnce', 'atMostOnce'] as const)('is on the log each time, %s', async (method) => {
    const node = new TestCall().node()
    const options = {
      key: 'secret',
      retryable: () => true,
      attempts: 3,
      backoff: { initialMs: 2, jitter: 0 },
    }
    let count = 0
    const fail = () => {
      throw new Error(`no ${++count}`)
    }
    await thrown(node.context[method]('load', fail, options))
    expect(node.told).toMatchObject([
      { fields: { step: 'load', stepAttempt: 1, nextTryMs: 2, error: 'Error: no 1' } },
      { fields: { step: 'load', stepAttempt: 2, nextTryMs: 4, error: 'Error: no 2' } },
      { fields: { step: 'load', stepAttempt: 3 } },
    ])
    expect(node.told[2]?.fields).not.toHaveProperty('nextTryMs')
    expect(stackOf(node)).toContain('told.test.ts')
    expect(JSON.stringify(node.told)).not.toContain('secret')
  })

  const asked = { retryable: () => unanswerable(), nonRetryable: () => unanswerable() }
  const unanswerable = (): boolean =>
    (undefined as unknown as { response: { status: number } }).response.status === 503
  describe.each(['atLeastOnce', 'atMostOnce'] as const)('%s, and', (method) => {
    test.each(Object.entries(asked))('%s too, is what the step ends with', async (name, matcher) => {
      const call = new TestCall()
      const body = vi.fn<() => never>(() => {
        throw new Error('the true one')
      })
      const node = call.node()
      const options = { [name]: matcher, backoff: AT_ONCE }
      expect((await thrown(node.context[method]('s', body, options))).message).toBe('the true one')
      expect((await thrown(call.node().context[method]('s', body, options))).message).toBe('the true one')
      expect(body).toHaveBeenCalledTimes(1)
      expect(node.told).toMatchObject([
        { message: expect.stringMatching(/^`retryable` or/) as string, fields: { step: 's' } },
        { message: 'a step failed', fields: { step: 's', stepAttempt: 1 } },
      ])
      expect(call.phases('s').at(-1)).toBe('failed')
    })

    const neither: Record<string, () => unknown> = {
      'a promise': () => Promise.reject(new Error('unheard')),
      text: () => 'yes',
      'a number': () => 1,
      'an object': () => ({ retry: true }),
    }
    test.each(Object.entries(neither))('%s is no answer', async (_what, answer) => {
      const body = vi.fn<() => never>(() => {
        throw new Error('the true one')
      })
      for (const name of ['retryable', 'nonRetryable']) {
        const node = new TestCall().node()
        const options = { [name]: answer, backoff: AT_ONCE }
        expect((await thrown(node.context[method]('s', body, options))).message).toBe('the true one')
        expect(String(node.told[0]?.fields['error'])).toMatch(/says true or false at once/)
      }
      expect(body).toHaveBeenCalledTimes(2)
    })
  })

  test('is not, when it was told to stop', async () => {
    const node = new TestCall().node()
    const step = node.context.atLeastOnce('s', ({ signal }) => {
      node.cancel()
      signal.throwIfAborted()
    })
    await thrown(step)
    await new Promise((resolve) => setImmediate(resolve))
    expect(node.told).toEqual([])
  })
})

describe('what a handler throws is on the log once, with its stack', () => {
  const wrong = () => {
    throw new Error('wrong')
  }
  const handlers: Record<string, (ctx: DurableContext) => unknown> = {
    'of its own': wrong,
    'of a step': (ctx) => ctx.atLeastOnce('s', wrong, { attempts: 1 }),
    'of a step that it catches': (ctx) =>
      ctx.atMostOnce('s', wrong).catch((error: Error) => Promise.reject(error)),
    'of a change of state': (ctx) => ctx.state.update(wrong),
    'of a question': (ctx) => ctx.elicit('q', form),
    'of two steps of one name': async (ctx) => [await ctx.now('n'), await ctx.now('n')],
  }
  test.each(Object.entries(handlers))('%s', async (_what, handler) => {
    const call = new TestCall()
    call.respond('q', { jsonrpc: '2.0', id: 'q', error: { code: -1, message: 'wrong' } })
    const node = call.node()
    expect(await settled(node.run(handler))).toHaveProperty('error')
    expect(node.told).toHaveLength(1)
    const { error } = node.told[0]!.fields as { error: Error }
    expect(error.stack).toMatch(/told\.test\.ts|context/)
  })

  test('not when it was stopped', async () => {
    const node = new TestCall().node()
    const run = settled(node.run((ctx) => ctx.sleep('s', 60_000)))
    node.cancel()
    expect(await run).toHaveProperty('error')
    expect(node.told).toEqual([])
  })
})

describe('steps that nobody waits for', () => {
  const forgotten: Record<string, (ctx: DurableContext) => unknown> = {
    atLeastOnce: (ctx) => ctx.atLeastOnce('s', () => 1),
    atMostOnce: (ctx) => ctx.atMostOnce('s', () => 1),
    now: (ctx) => ctx.now('s'),
    elicit: (ctx) => ctx.elicit('s', form),
    'a change of state': (ctx) => ctx.state.set(1, { name: 's' }),
  }
  test.each(Object.entries(forgotten))('are named when the handler ends: %s', async (_kind, begin) => {
    const node = new TestCall().node()
    const done = await node.run((ctx) => {
      void begin(ctx)
      return 'done'
    })
    expect(done).toBe('done')
    expect(told(node, /ended before steps/)).toMatchObject([{ level: 'error', fields: { steps: ['s'] } }])
  })

  test('are a warning where handlers are not validated', async () => {
    const call = new TestCall()
    const node = call.node()
    const tool = durableTool((_args: object, ctx) => {
      void ctx.atLeastOnce('s', () => 1)
      return 'done'
    })
    await runInCall({ log: node, store: call.store }, () => tool({}, {}))
    expect(told(node, /ended before steps/)).toMatchObject([{ level: 'warn', fields: { steps: ['s'] } }])
  })

  test('are not named when they had ended, or only slept, or another one failed', async () => {
    const node = new TestCall().node()
    await node.run(async (ctx) => {
      const step = ctx.atLeastOnce('s', () => 1)
      void ctx.sleep('t', 60_000)
      await Promise.race([step, ctx.sleep('patience', 60_000)])
    })
    expect(node.told).toEqual([])
    const failing = new TestCall().node()
    const run = failing.run((ctx) =>
      Promise.all([
        ctx.now('n').then(() => Promise.reject(new Error('no'))),
        ctx.atMostOnce('m', () => new Promise(() => undefined)),
      ]),
    )
    await thrown(run)
    expect(told(failing, /ended before steps/)).toEqual([])
  })

  test('and that begin when the handler has ended are named too', async () => {
    const node = new TestCall().node()
    const context = (await node.run((ctx) => ctx)) as DurableContext
    await thrown(context.atLeastOnce('late', () => 1))
    expect(told(node, /after its handler had ended/)).toMatchObject([{ fields: { step: 'late' } }])
  })
})

describe('a value that cannot be recorded', () => {
  class Money {
    amount = 1
  }
  const circular: { deep?: unknown } = {}
  let nested: unknown = 1
  for (let depth = 0; depth < 100_000; depth++) nested = [nested]
  const unnamed = { constructor: { name: 5 } }
  const values: [what: string, value: unknown, says: RegExp][] = [
    ['a response', new Response('x'), /it is an instance of Response\. .*await response\.json\(\)/],
    ['a response inside', { answer: new Response('x') }, /at \.answer it has an instance of Response/],
    ['an error', new Error('x'), /it is an instance of Error\. Throw it/],
    ['an error inside', { errors: [new TypeError('x')] }, /at \.errors\[0\] .*TypeError\. Give its message/],
    [
      'an instance of a class',
      { a: [{ price: new Money() }] },
      /at \.a\[0\]\.price .*Money\..*\{ \.\.\.value \}/,
    ],
    ['a function', { toString: () => '' }, /at \.toString it has a function\. Leave it out/],
    ['a symbol', Symbol('x'), /it is a symbol\. Leave it out/],
    ['a promise', { p: Promise.resolve(1) }, /at \.p it has a promise\. Await it/],
    ['an answer', new (class Answer extends Response {})(), /instance of Response\./],
    ['what has no class that can be named', Object.create(unnamed), /an object that is not plain\. Give/],
    ['headers', new Headers(), /Object\.fromEntries/],
    ['a stream', new ReadableStream(), /Read it first/],
    ['what has no end', nested, /nested too deeply/],
  ]
  test.each(values)('%s', async (_what, value, says) => {
    const atLeast = await thrown(new TestCall().node().context.atLeastOnce('fetch', () => value))
    expect(atLeast).toBeInstanceOf(StepValueError)
    expect(atLeast.message).toMatch(says)
    expect(atLeast.message).toContain('"fetch" cannot be recorded')
    const atMost = await thrown(new TestCall().node().context.atMostOnce('fetch', () => value))
    expect(atMost.message).toMatch(says)
    expect(atMost.message).toMatch(/what it did has happened, and it is not run again/)
  })

  test('a circle can be', async () => {
    circular.deep = circular
    expect(await new TestCall().node().context.atLeastOnce('s', () => circular)).toHaveProperty('deep')
  })
})

describe('what can be seen to be wrong is refused before anything runs', () => {
  class Refused extends Error {}
  const matchers: [what: string, matcher: unknown, says: RegExp][] = [
    ['a class', Refused, /the class Refused\. It must be a list of classes/],
    ['a built-in class', TypeError, /the class TypeError\./],
    ['Error itself', Error, /the class Error\./],
    [
      'an async function',
      async () => false,
      /an async function\. .* a function that says true or false at once/,
    ],
    ['names of classes', [Refused, 'Error'], /a list with a string in it\./],
    ['functions in a list', [() => true], /a list with a function in it\./],
    ['text', 'Error', /a string\./],
  ]
  describe.each(['retryable', 'nonRetryable'] as const)('%s is', (name) => {
    test.each(matchers)('%s', async (_what, matcher, says) => {
      const body = vi.fn<() => void>()
      for (const method of ['atLeastOnce', 'atMostOnce'] as const) {
        const call = new TestCall()
        const error = await thrown(call.node().context[method]('s', body, { [name]: matcher }))
        expect(error).toBeInstanceOf(TypeError)
        expect(error.message).toContain(`\`${name}\` of the step "s" is`)
        expect(error.message).toMatch(says)
        expect(call.records).toEqual([])
      }
      expect(body).not.toHaveBeenCalled()
    })
  })

  test('errors that are no list', async () => {
    const body = vi.fn<() => void>()
    for (const errors of [Refused, () => true, ['Refused'], 'Refused'] as never[]) {
      const error = await thrown(new TestCall().node().context.atLeastOnce('s', body, { errors }))
      expect(error.message).toMatch(/`errors` of the step "s" is .*\. It must be a list of classes/)
    }
    expect(body).not.toHaveBeenCalled()
  })

  test.each(['atLeastOnce', 'atMostOnce'] as const)('%s without a body', async (method) => {
    const call = new TestCall()
    for (const body of [undefined, { key: 1 }, Promise.resolve(1)]) {
      const error = await thrown(call.node().context[method]('s', body as never))
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toMatch(/body of the step "s" is a function, not (undefined|object|a promise)/)
    }
    expect(call.records).toEqual([])
  })

  test('a schema that is none, such as one of an old zod', async () => {
    const call = new TestCall()
    const schema = { parse: () => 1, safeParse: () => ({ success: true }) } as never
    const body = vi.fn<() => number>(() => 1)
    const { context } = call.node()
    for (const step of [
      context.atLeastOnce('s', body, { schema }),
      context.atMostOnce('t', body, { schema }),
      context.elicit('q', form, { schema }),
    ]) {
      const error = await thrown(step)
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toMatch(/zod 3\.24 or newer/)
    }
    expect(() => context.state.of('x', { schema })).toThrow(/zod 3\.24 or newer/)
    expect(body).not.toHaveBeenCalled()
    expect(call.records).toEqual([])
  })

  test('a second change of the same state says how to name it', async () => {
    const { context } = new TestCall().node()
    await context.state.set(1)
    const { message } = await thrown(context.state.set(2))
    expect(message).toContain('Name the change: { name:')
    await context.now('n')
    expect((await thrown(context.now('n'))).message).toContain('by { key }')
  })
})
