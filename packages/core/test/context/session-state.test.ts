import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import {
  CallStoppedError,
  DuplicateStepError,
  NestedStepError,
  StateConflictError,
  StateValueError,
  UnknownScopeError,
} from '../../src/context/errors.js'
import { sessionState } from '../../src/context/session-state.js'
import type { SessionState } from '../../src/context/state-value.js'
import { StoreError } from '../../src/errors.js'
import { MemoryContextStore } from './memory-context-store.js'
import { TestCall, thrown } from './support.js'

const Cart = z.object({ items: z.array(z.string()) })
const Count = z.number()

describe('in a call', () => {
  test('is empty at first, then what was set, for every call of the session', async () => {
    const store = new MemoryContextStore()
    const { state } = new TestCall({ store }).node().context
    expect(await state.get()).toBeUndefined()
    await state.set({ at: new Date(0), n: 1n })
    expect(await state.get()).toEqual({ at: new Date(0), n: 1n })
    expect(await new TestCall({ store }).node().context.state.get()).toEqual({ at: new Date(0), n: 1n })
  })

  test('is typed and checked by its schema', async () => {
    const call = new TestCall()
    const cart = call.node().context.state.of('cart', { schema: Cart })
    expectTypeOf<typeof cart>().toEqualTypeOf<SessionState<{ items: string[] }>>()
    expectTypeOf(await cart.get()).toEqualTypeOf<{ items: string[] } | undefined>()
    await cart.set({ items: ['a'] })
    const updated = await cart.update((now) => ({ items: [...(now?.items ?? []), 'b'] }), { name: 'add b' })
    expect(updated).toEqual({ items: ['a', 'b'] })
    const wrong = await thrown(cart.set({ items: [1] } as never, { name: 'wrong' }))
    expect(wrong).toBeInstanceOf(StateValueError)
    expect(wrong.message).toMatch(/"cart" does not fit its schema: items\.0/)
    const other = call.node().context.state.of('cart', { schema: z.number() })
    expect(await thrown(other.get())).toBeInstanceOf(StateValueError)
    expect(await cart.get()).toEqual({ items: ['a', 'b'] })
  })

  test('keys are apart; undefined deletes', async () => {
    const call = new TestCall()
    const { state } = call.node().context
    await state.set(1)
    await state.of('other').set(2)
    await state.set(undefined, { name: 'delete' })
    expect([await state.get(), await state.of('other').get()]).toEqual([undefined, 2])
  })

  test('a change applies exactly once, in whichever run', async () => {
    const call = new TestCall()
    const run = (crash?: { at: number; when: 'before' | 'applied' }) => {
      const node = call.node({ crash })
      return node.run(({ state }) => state.of('n', { schema: Count }).update((n = 0) => n + 1))
    }
    expect(await run({ at: 1, when: 'before' })).toBe('crashed')
    expect(await run({ at: 1, when: 'applied' })).toBe('crashed')
    expect([await run(), await run()]).toEqual([1, 1])
    expect(await sessionState(call.store, call.scope).of('n').get()).toBe(1)
  })

  test('a node that was fenced off changes nothing', async () => {
    const call = new TestCall()
    const zombie = call.node()
    call.node()
    expect((await thrown(zombie.context.state.set(1))).message).toBe('fenced')
    expect(await call.node().context.state.get()).toBeUndefined()
  })

  test('concurrent updates of several calls are all there in the end', async () => {
    const store = new MemoryContextStore()
    const calls = Array.from({ length: 20 }, () => new TestCall({ store }).node().context)
    const updates = calls.map(({ state }) => state.of('n', { schema: Count }).update((n = 0) => n + 1))
    expect((await Promise.all(updates)).toSorted((a = 0, b = 0) => a - b)).toEqual(calls.map((_, i) => i + 1))
  })

  test('changes of the same key need names of their own', async () => {
    const call = new TestCall()
    const run = async () => {
      const { state } = call.node().context
      const count = state.of('n', { schema: Count })
      await count.update((n = 0) => n + 1)
      await count.update((n = 0) => n + 10, { name: 'ten' })
      const twice = await thrown(count.update((n = 0) => n + 100))
      return [await count.get(), twice instanceof DuplicateStepError]
    }
    expect(await run()).toEqual([11, true])
    expect(await run()).toEqual([11, true])
  })

  test('a change inside a step throws; reading there does not', async () => {
    const { context } = new TestCall().node()
    const { state } = context
    await state.set(1)
    expect(await context.atLeastOnce('read', () => state.get())).toBe(1)
    expect(await thrown(context.atLeastOnce('write', () => state.of('x').set(1)))).toBeInstanceOf(
      NestedStepError,
    )
    const nested = state.of('y').update(() => context.now('now'))
    expect(await thrown(nested)).toBeInstanceOf(NestedStepError)
  })

  test('what an update throws is recorded', async () => {
    const call = new TestCall()
    const change = vi.fn<() => never>(() => {
      throw new RangeError('full')
    })
    for (let run = 0; run < 2; run++) {
      const error = await thrown(call.node().context.state.update(change))
      expect(error).toBeInstanceOf(RangeError)
      expect(error.message).toBe('full')
    }
    expect(change).toHaveBeenCalledTimes(1)
    expect(await call.node().context.state.get()).toBeUndefined()
  })

  test('a value without a recorded form is an error', async () => {
    const { state } = new TestCall().node().context
    const error = await thrown(state.of('cart').set({ items: [{ order: () => 1 }] }))
    expect(error).toBeInstanceOf(StateValueError)
    expect(error.message).toBe(
      'The state "cart" cannot be stored: at .items[0].order it has a function. Leave it out.',
    )
  })

  test('waits for a store that is away', async () => {
    const call = new TestCall()
    let failures = 2
    call.store.before = () => {
      if (failures-- > 0) throw new StoreError('store-unavailable', 'away')
    }
    await call.node().context.state.set(1)
    expect(await sessionState(call.store, call.scope).get()).toBe(1)
  })

  test('a stopped call waits no more, and records nothing', async () => {
    const call = new TestCall()
    call.store.before = () => {
      throw new StoreError('store-unavailable', 'away')
    }
    const node = call.node()
    const change = thrown(node.context.state.set(1))
    node.cancel()
    expect(await change).toBeInstanceOf(CallStoppedError)
    await new Promise((resolve) => setImmediate(resolve))
    expect(call.records).toEqual([])
  })
})

describe('outside of a call', () => {
  test('reads and changes what the calls of the session see', async () => {
    const call = new TestCall()
    const count = sessionState(call.store, call.scope).of('n', { schema: Count })
    await count.set(1)
    expect(await count.update((n = 0) => n + 1)).toBe(2)
    expect(await count.update((n = 0) => n + 1)).toBe(3)
    expect(await call.node().context.state.of('n').get()).toBe(3)
  })

  test('concurrent updates are all there in the end', async () => {
    const count = sessionState(new MemoryContextStore(), 's').of('n', { schema: Count })
    await Promise.all(Array.from({ length: 50 }, () => count.update((n = 0) => n + 1)))
    expect(await count.get()).toBe(50)
  })

  test('gives up when others are always faster', async () => {
    const store = new MemoryContextStore()
    store.writeValue = async () => 'conflict'
    expect(await thrown(sessionState(store, 's').set(1))).toBeInstanceOf(StateConflictError)
  })

  test('a session that does not exist has no state to change', async () => {
    const state = sessionState(new MemoryContextStore(), 'unknown')
    expect(await state.get()).toBeUndefined()
    expect(await thrown(state.set(1))).toBeInstanceOf(UnknownScopeError)
  })

  test('a store that is away is an error at once', async () => {
    const store = new MemoryContextStore()
    store.before = () => {
      throw new StoreError('store-unavailable', 'away')
    }
    expect(await thrown(sessionState(store, 's').get())).toBeInstanceOf(StoreError)
  })
})
