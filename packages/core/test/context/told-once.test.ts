import { describe, expect, test, vi } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import { StoreError } from '../../src/errors.js'
import { AT_ONCE, settled, TestCall, thrown } from './support.js'
import type { TestNode } from './support.js'

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const bytes = new Uint8Array(1)
const turn = () => new Promise((resolve) => setImmediate(resolve))
const errorsOf = ({ told }: TestNode) => told.map(({ fields }) => fields['error'])
const wrong = () => {
  throw new Error('wrong')
}
const schema = {
  '~standard': { version: 1, vendor: 'x', validate: () => ({ issues: [{ message: 'no' }] }) },
} as never

describe('what is thrown and is no error', () => {
  const odd: [what: string, value: unknown][] = [
    ['text', 'text'],
    ['an object', { code: 5 }],
    ['undefined', undefined],
    ['a symbol', Symbol('x')],
    ['an object without a text', Object.create(null)],
  ]
  test.each(odd)('is on the log once, as it was thrown: %s', async (_what, value) => {
    for (const method of ['atLeastOnce', 'atMostOnce'] as const) {
      const node = new TestCall().node()
      const fail = () => {
        throw value as Error
      }
      await thrown(node.run((ctx) => ctx[method]('s', fail, { attempts: 1 })) as Promise<never>)
      expect(errorsOf(node)).toEqual([value])
      expect(node.told[0]).toMatchObject({ message: 'a step failed', fields: { step: 's' } })
    }
  })
})

test('what has no text is tried again, and then ends its step', async () => {
  const call = new TestCall()
  const body = vi.fn<() => never>(() => {
    throw Object.create(null)
  })
  const node = call.node()
  await thrown(node.context.atLeastOnce('s', body, { attempts: 2, backoff: AT_ONCE }))
  expect(body).toHaveBeenCalledTimes(2)
  expect(node.told[0]?.fields).toMatchObject({ error: '[object Object]', stepAttempt: 1 })
  expect(call.phases('s')).toEqual(['failed'])
})

/** What fails in a context, though no body has thrown. */
const failing: Record<string, (ctx: DurableContext) => Promise<unknown>> = {
  'a step without a body': (ctx) => ctx.atMostOnce('s', undefined as never),
  'a step whose name is no text': (ctx) => ctx.now(undefined as never),
  'a second step of one name': async (ctx) => {
    await ctx.now('twice')
    await ctx.now('twice')
  },
  'a sleep without a time': (ctx) => ctx.sleep('s', Number.NaN),
  'a question that is refused': (ctx) => ctx.elicit('q', form),
  'a value of the state that has no form': (ctx) => ctx.state.set({ at: () => 1 }),
  'a change of the state that throws': (ctx) => ctx.state.update(wrong),
  'a read of the state that does not fit': (ctx) => ctx.state.of('kept', { schema }).get(),
  'a change of a map that is no bytes': (ctx) => ctx.map('audit').insert({ a: 'text' as never }),
  'a second change of a map': async (ctx) => {
    await ctx.map('audit').insert({ a: bytes })
    await ctx.map('audit').insert({ b: bytes })
  },
  'a read of a map with no limit': (ctx) => ctx.map('audit').range({ limit: -1 }),
  'a handle without a time': (ctx) => ctx.handle.create('h', {} as never),
  'a line of a level that there is not': (ctx) => ctx.log('warn' as never, 'x'),
}

describe('what fails is on the log once', () => {
  const kept = async () => {
    const call = new TestCall()
    await new TestCall({ store: call.store }).node().context.state.of('kept').set(1)
    call.respond('q', { jsonrpc: '2.0', id: 'q', error: { code: -1, message: 'wrong' } })
    return call.node()
  }

  test.each(Object.entries(failing))('when nobody waits for it: %s', async (_what, use) => {
    const node = await kept()
    await node.run(async (ctx) => {
      void use(ctx).catch(() => undefined)
      for (let n = 0; n < 10; n++) await turn()
    })
    expect(errorsOf(node).filter(Boolean)).toHaveLength(1)
  })

  test.each(Object.entries(failing))('when its message is the result: %s', async (_what, use) => {
    const node = await kept()
    const message = await node.run((ctx) => use(ctx).then(String, String))
    expect(errorsOf(node).map(String)).toEqual([message])
  })

  test.each(Object.entries(failing))('when the handler fails with it: %s', async (_what, use) => {
    const node = await kept()
    const { error } = (await settled(node.run(use))) as { error: Error }
    expect(errorsOf(node).map(String)).toEqual([String(error)])
  })

  test('also what the store refuses', async () => {
    const call = new TestCall()
    call.store.before = () => {
      throw new StoreError('store-refused', 'no')
    }
    const node = call.node()
    await node.run((ctx) =>
      ctx
        .map('audit')
        .get('a')
        .catch(() => undefined),
    )
    expect(errorsOf(node)).toMatchObject([{ code: 'store-refused' }])
  })

  test('and does not end the process where nobody is known whose state it is', async () => {
    const call = new TestCall({ isAlone: true, caller: { principal: undefined, isUser: false } })
    const node = call.node()
    await node.run(async (ctx) => {
      void ctx.state.set(1)
      await turn()
    })
    expect(errorsOf(node)).toMatchObject([{ code: 'no-principal' }])
  })

  test('not when the call is stopped', async () => {
    const node = new TestCall().node()
    const run = settled(
      node.run(async (ctx) => {
        await ctx.now('n')
        node.cancel()
        return Promise.allSettled(Object.values(failing).map((use) => use(ctx)))
      }),
    )
    await run
    expect(node.told).toEqual([])
  })
})

describe('changes of maps that nobody waits for', () => {
  test('are named when the handler ends', async () => {
    const call = new TestCall()
    call.store.changeMap = () => new Promise<never>(() => undefined)
    const node = call.node()
    await node.run((ctx) => {
      void ctx.map('audit').insert({ a: bytes })
      void ctx.map('audit').idempotently('secret').remove('b')
      void ctx.map('audit').get('c')
    })
    expect(node.told).toMatchObject([{ fields: { steps: ['map audit', 'map audit'] } }])
  })

  test('are not when they had ended, or failed', async () => {
    const node = new TestCall().node()
    await node.run(async (ctx) => {
      await ctx.map('audit').insert({ a: bytes })
      await thrown(ctx.map('audit').insert({ b: bytes }))
    })
    expect(node.told.filter(({ message }) => /ended before/.test(message))).toEqual([])
  })

  test('and that begin after it are named too, without their alias', async () => {
    const node = new TestCall().node()
    const ctx = (await node.run((context) => context)) as DurableContext
    await thrown(ctx.map('audit').idempotently('secret').insert({ a: bytes }))
    await thrown(ctx.elicit('q', form))
    const late = /after its handler had ended/
    expect(node.told.filter(({ message }) => late.test(message)).map(({ fields }) => fields['step'])).toEqual(
      ['map audit', 'q'],
    )
  })
})
