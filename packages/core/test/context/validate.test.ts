import { afterEach, describe, expect, test, vi } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import { durableContext } from '../../src/context/run-context.js'
import { recordingChanges } from '../../src/context/map-record.js'
import type { MapRecord } from '../../src/context/map-record.js'
import { sortedMap } from '../../src/context/sorted-map.js'
import { validateEffects } from '../../src/context/validate.js'
import { settled, TestCall } from './support.js'

type Handler = (context: DurableContext) => unknown

/** Runs a handler to its end, then replays it; what differed. */
async function differences(
  handler: Handler,
  { call = new TestCall(), ...options }: { call?: TestCall; withinMs?: number } = {},
) {
  const mapChanges: MapRecord = new Map()
  const { store } = call
  const node = call.node({ store: recordingChanges(store, mapChanges) })
  await settled(node.run(handler))
  if (!node.handled) throw new Error('The handler did not end.')
  const before = JSON.stringify([call.records, call.sent, call.questions])
  const found = await validateEffects(
    { ...call.finished(node.handled), mapChanges },
    store,
    node.handled.rerun,
    options,
  )
  expect(JSON.stringify([call.records, call.sent, call.questions])).toBe(before)
  return found
}

/** Something that is different every time it is asked. */
function counter() {
  let count = 0
  return () => ++count
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a handler whose effects are all in steps', () => {
  test('does not differ when it throws what has no text', async () => {
    const handler = () => {
      throw Object.create(null)
    }
    expect(await differences(handler)).toEqual([])
  })

  test('does not differ when it opens a handle that there is not', async () => {
    expect(await differences((ctx) => ctx.handle.open('none'))).toEqual([])
  })

  test('does not differ', async () => {
    const call = new TestCall({ progressToken: 't' })
    call.answer('ask', { action: 'accept', content: { ok: true } })
    const outside = counter()
    const found = await differences(
      async (ctx) => {
        const a = await ctx.atLeastOnce('a', outside)
        await ctx.progress(1)
        const b = await ctx.atMostOnce('b', async () => {
          await ctx.info('only in the body')
          return outside()
        })
        const [c, d] = await Promise.all([ctx.now('c'), ctx.random('d')])
        await ctx.sleep('e', 1)
        const requestedSchema = { type: 'object' as const, properties: {} }
        const answer = await ctx.elicit('ask', { message: '?', requestedSchema }, { timeoutMs: 60_000 })
        const n = await ctx.state.update((now) => Number(now ?? 0) + 1)
        await ctx.map('m').insert({ [await ctx.uuid7('u')]: new Uint8Array([1]) })
        await ctx.info({ a, b })
        const deep = await durableContext().atLeastOnce('deep', outside)
        return { a, b, c, d, answer, n, deep }
      },
      { call },
    )
    expect(found).toEqual([])
    expect(await sortedMap(call.store, 'm').range()).toHaveLength(1)
    expect(outside()).toBe(4)
  })

  test('nor when it ends with the error of a step', async () => {
    const fail = async (ctx: DurableContext) => {
      await ctx.atMostOnce('a', () => {
        throw new TypeError('no')
      })
    }
    expect(await differences(fail)).toEqual([])
  })

  test('nor when it catches one', async () => {
    const recover = async (ctx: DurableContext) => {
      const outcome = await settled(
        ctx.atMostOnce('a', () => {
          throw new TypeError('no')
        }),
      )
      return 'error' in outcome ? ctx.now('then') : 'fine'
    }
    expect(await differences(recover)).toEqual([])
  })

  test('nor when the client cannot be asked', async () => {
    const call = new TestCall()
    call.clientCapabilities = {}
    const ask = async (ctx: DurableContext) => {
      const roots = await settled(ctx.listRoots('roots'))
      return 'error' in roots ? 'none' : 'some'
    }
    expect(await differences(ask, { call })).toEqual([])
  })

  test('nor when a step was still running when it ended', async () => {
    const race = (ctx: DurableContext) =>
      Promise.race([ctx.atLeastOnce('slow', () => new Promise(() => undefined)), ctx.sleep('timeout', 1)])
    expect(await differences(race)).toEqual([])
    const failFast = (ctx: DurableContext) =>
      Promise.all([
        ctx.atMostOnce('slow', () => new Promise(() => undefined)),
        ctx.atMostOnce('failing', () => {
          throw new Error('no')
        }),
      ])
    expect(await differences(failFast)).toEqual([])
  })

  test('nor when messages sent side by side come in another order', async () => {
    const order = [20, 10]
    const found = await differences(async (ctx) => {
      const told = order.map(async (n) => {
        await ctx.atLeastOnce(`s${n}`, async () => {
          for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
        })
        await ctx.info(n)
      })
      await Promise.all(told)
    })
    expect(found).toEqual([])
  })
})

describe('what is reported', () => {
  test('a result that comes from outside', async () => {
    const outside = counter()
    const found = await differences(() => ({ content: [{ type: 'text', text: `now ${outside()}` }] }))
    expect(found).toEqual([
      {
        kind: 'different-result',
        what: 'The end.result.content.0.text was "now 1", and "now 2" in the replay',
      },
    ])
  })

  test('an error instead of a result', async () => {
    const outside = counter()
    const found = await differences(() => {
      if (outside() === 2) throw new Error('second')
      return 1
    })
    expect(found).toEqual([{ kind: 'different-result', what: expect.stringContaining('The end.') }])
  })

  test('a new step; its body is not run', async () => {
    const outside = counter()
    const body = vi.fn<() => number>(() => 1)
    const found = await differences(async (ctx) => {
      await ctx.atMostOnce(`order ${outside()}`, body, { key: 'k' })
      await ctx.now('after')
    })
    expect(found).toEqual([{ kind: 'new-step', what: 'The step "order 2 (k)" is in the replay only.' }])
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('a new step is reported even if the handler hides it', async () => {
    const outside = counter()
    const found = await differences((ctx) => settled(ctx.now(`n${outside()}`)))
    expect(found).toEqual([{ kind: 'new-step', what: 'The step "n2" is in the replay only.' }])
  })

  test('a missing step', async () => {
    const outside = counter()
    const found = await differences(async (ctx) => {
      if (outside() === 1) await ctx.now('first time')
    })
    expect(found).toEqual([{ kind: 'missing-step', what: 'The step "first time" is not in the replay.' }])
  })

  test('a changed, a new and a missing message', async () => {
    const outside = counter()
    const found = await differences(async (ctx) => {
      const n = outside()
      await ctx.info('the same')
      await ctx.info(`n is ${n}`)
      await ctx.notify({ method: n === 1 ? 'notifications/first' : 'notifications/second' })
    })
    expect(found).toEqual([
      {
        kind: 'changed-message',
        what: 'notifications/message.params.data was "n is 1", and "n is 2" in the replay',
      },
      { kind: 'new-message', what: expect.stringContaining('notifications/second') },
      { kind: 'missing-message', what: expect.stringContaining('notifications/first') },
    ])
  })

  test('messages that are sent more often', async () => {
    const outside = counter()
    const found = await differences(async (ctx) => {
      for (let i = outside(); i > 0; i--) await ctx.info('again')
    })
    expect(found.map(({ kind }) => kind)).toEqual(['new-message'])
  })

  test('changed, new and missing changes of maps; none is made', async () => {
    const outside = counter()
    const call = new TestCall()
    const found = await differences(
      async (ctx) => {
        const n = outside()
        await ctx.map('m').insert({ a: new Uint8Array([n]) })
        await ctx
          .map('m')
          .idempotently(`alias ${n}`)
          .insert({ b: new Uint8Array([n]) })
      },
      { call },
    )
    expect(found.map(({ kind }) => kind)).toEqual([
      'changed-map-change',
      'missing-map-change',
      'new-map-change',
    ])
    expect(found.map(({ what }) => what).join()).toContain('m:alias 2')
    expect(await sortedMap(call.store, 'm').range()).toEqual([
      ['a', new Uint8Array([1])],
      ['b', new Uint8Array([1])],
    ])
  })

  test('a read that is not in a step', async () => {
    const found = await differences(async ({ state }) => {
      const before = await state.get()
      await state.set('set')
      return { before }
    })
    expect(found).toEqual([
      { kind: 'different-result', what: expect.stringMatching(/was missing, and "set" in the replay/) },
    ])
  })

  test('a replay that does not end', async () => {
    const outside = counter()
    const found = await differences(() => (outside() === 1 ? 1 : new Promise(() => undefined)), {
      withinMs: 10,
    })
    expect(found).toEqual([{ kind: 'no-end', what: 'The replay did not end within 10 ms.' }])
  })

  test('long values are clipped', async () => {
    const outside = counter()
    const [found] = await differences(() => `${'x'.repeat(500)}${outside()}`)
    expect(found?.what.length).toBeLessThan(250)
  })
})
