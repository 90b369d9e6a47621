import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { DurableContext } from '../../src/context/context.js'
import {
  CallStoppedError,
  DuplicateStepError,
  HandleLimitError,
  NoPrincipalError,
  StateConflictError,
  StateFullError,
  StateValueError,
  UnknownHandleError,
} from '../../src/context/errors.js'
import type { Handle } from '../../src/context/handles.js'
import { DEFAULT_LIMITS } from '../../src/context/limits.js'
import { principalState } from '../../src/context/principal-state.js'
import { scopeOfHandle } from '../../src/context/scope-state.js'
import type { SessionState } from '../../src/context/state-value.js'
import { StoreError } from '../../src/errors.js'
import { MemoryContextStore } from './memory-context-store.js'
import { TestCall, thrown } from './support.js'
import type { Crash } from './support.js'

const Count = z.number()
const TTL = { ttlMs: 60_000 }
const aCall = (store = new MemoryContextStore(), principal: string | undefined = 'ann') =>
  new TestCall({ store, isAlone: true, caller: { principal, isUser: true } })
const count = ({ state }: Pick<DurableContext, 'state'>) => state.of('n', { schema: Count })

describe('the state of a principal', () => {
  test('is the same in all calls of one principal, and of nobody else', async () => {
    const store = new MemoryContextStore()
    await aCall(store)
      .node()
      .context.state.set({ at: new Date(0) })
    expect(await aCall(store).node().context.state.get()).toEqual({ at: new Date(0) })
    expect(await aCall(store, 'bob').node().context.state.get()).toBeUndefined()
    const { state } = new TestCall({ store, isAlone: false }).node().context
    expect(await state.get()).toBeUndefined()
    expect(await principalState(store, 'ann').get()).toEqual({ at: new Date(0) })
    await principalState(store, 'ann').of('n').set(7)
    expect(await aCall(store).node().context.state.of('n').get()).toBe(7)
  })

  test('is typed and checked by its schema, and its keys are apart', async () => {
    const { context } = aCall().node()
    expectTypeOf(context.state.of('n', { schema: Count })).toEqualTypeOf<SessionState<number>>()
    await count(context).set(1)
    await context.state.of('other').set(2)
    expect([await count(context).get(), await context.state.get()]).toEqual([1, undefined])
    const wrong = await thrown(count(context).set('x' as never, { name: 'wrong' }))
    expect(wrong).toBeInstanceOf(StateValueError)
    await context.state.of('other').set(undefined, { name: 'delete' })
    expect(await context.state.of('other').get()).toBeUndefined()
  })

  test.each([
    ['nobody is known', { principal: undefined, isUser: true }, 'Nobody is known'],
    ['the client application alone is', { principal: 'app', isUser: false }, '`clientId` of the auth info'],
  ])('where %s, every use says what to do', async (_, caller, why) => {
    const { state } = new TestCall({ isAlone: true, caller }).node().context
    for (const use of [
      state.get(),
      state.set(1),
      state.of('k').update(() => 1),
      state.of('k').of('l').get(),
    ]) {
      const error = await thrown(use)
      expect(error).toBeInstanceOf(NoPrincipalError)
      expect(error.message).toContain(why)
      expect(error.message).toContain('create a handle')
    }
  })
})

type Way = { name: string; run: (ctx: DurableContext, id: string) => Promise<unknown> }
const WAYS: Way[] = [
  { name: 'the principal', run: (ctx) => count(ctx).update((n = 0) => n + 1) },
  { name: 'a handle', run: async (ctx, id) => count(await ctx.handle.open(id)).update((n = 0) => n + 1) },
]

describe.each(WAYS)('a change of the state of $name', ({ run }) => {
  async function begin() {
    const store = new MemoryContextStore()
    const { id } = await aCall(store).node().context.handle.create('h', TTL)
    const call = aCall(store)
    /** By a call of its own, without a change. */
    const now = async () => {
      const { context } = aCall(store).node()
      return [await count(context).get(), await count(await context.handle.open(id)).get()]
    }
    const sum = async () => (await now()).reduce<number>((all, each) => all + (each ?? 0), 0)
    const other = () =>
      aCall(store)
        .node()
        .run((ctx) => run(ctx, id))
    return { store, call, id, sum, other, run: (ctx: DurableContext) => run(ctx, id) }
  }

  test('applies exactly once, wherever its node ends, and gives the value that it made', async () => {
    // Before and after each record, and the write between the two.
    const records: Crash[] = [1, 2].flatMap((at) =>
      (['before', 'applied'] as const).map((when) => ({ at, when })),
    )
    for (const crash of [...records, 'before the write', 'after the write'] as const) {
      const { store, call, sum, other, run: change } = await begin()
      await other()
      if (typeof crash === 'object') expect(await call.node({ crash }).run(change)).toBe('crashed')
      else {
        const node = call.node()
        store[crash === 'before the write' ? 'before' : 'after'] = (operation) => {
          if (operation === 'writeValue') void node.crash()
          if (operation === 'writeValue') throw new StoreError('store-timeout', 'its node is gone')
        }
        expect(await node.run(change)).toBe('crashed')
        store.before = store.after = () => undefined
      }
      const applied = (await sum()) - 1
      // Others come between: what it gives is still its own.
      await other()
      const [first, again] = [await call.node().run(change), await call.node().run(change)]
      expect([first, again], JSON.stringify(crash)).toEqual(applied === 1 ? [2, 2] : [3, 3])
      expect(await sum()).toBe(3)
    }
  })

  test('is made by another run as it was intended, and the function is not asked again', async () => {
    const { store, call, sum, run: change } = await begin()
    const node = call.node()
    store.before = (operation) => {
      if (operation !== 'writeValue') return
      void node.crash()
      throw new StoreError('store-unavailable', 'away')
    }
    expect(await node.run(change)).toBe('crashed')
    store.before = () => undefined
    expect(await call.node().run(change)).toBe(1)
    expect(await sum()).toBe(1)
  })

  test('a node that was fenced off changes nothing', async () => {
    const { call, sum, run: change } = await begin()
    const zombie = call.node()
    call.node()
    expect((await thrown(change(zombie.context))).message).toBe('fenced')
    expect(await sum()).toBe(0)
  })

  test('one that stood still between its record and its write does not change it a second time', async () => {
    const { store, call, sum, other, run: change } = await begin()
    const zombie = call.node()
    let goOn: (() => void) | undefined
    const write = store.writeValue
    store.writeValue = async (...args) => {
      store.writeValue = write
      await new Promise<void>((resolve) => (goOn = resolve))
      return write(...args)
    }
    const late = zombie.run(change)
    await expect.poll(() => goOn).toBeDefined()
    expect(call.records).toHaveLength(1)
    expect(await call.node().run(change)).toBe(1)
    await other()
    goOn?.()
    expect((await thrown(late)).message).toBe('fenced')
    expect(await sum()).toBe(2)
  })

  test('concurrent ones of several calls are all there in the end', async () => {
    const { sum, other } = await begin()
    const made = await Promise.all(Array.from({ length: 20 }, () => other()))
    expect(made.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    expect(await sum()).toBe(20)
  })

  test('gives up when others were always first', async () => {
    const { store, call, run: change } = await begin()
    store.writeValue = async () => 'conflict'
    for (let n = 0; n < 2; n++)
      expect(await thrown(call.node().run(change))).toBeInstanceOf(StateConflictError)
  })

  test('waits for a store that is away, and no longer than its call', async () => {
    const { store, call, sum, run: change } = await begin()
    let failures = 3
    store.before = () => {
      if (failures-- > 0) throw new StoreError('store-timeout', 'away')
    }
    expect(await call.node().run(change)).toBe(1)
    expect(await sum()).toBe(1)
    store.before = () => {
      throw new StoreError('store-unavailable', 'away')
    }
    const node = aCall(store).node()
    const stopped = thrown(change(node.context))
    node.cancel()
    expect(await stopped).toBeInstanceOf(CallStoppedError)
  })

  test('a state that is full takes no more, and says so in every run', async () => {
    const { store, call, sum, run: change } = await begin()
    const { writeValue } = store
    store.writeValue = async () => 'full'
    for (let n = 0; n < 2; n++) {
      expect(await thrown(call.node().run(change))).toMatchObject({
        name: 'StateFullError',
        message: expect.stringContaining(String(DEFAULT_LIMITS.maxStateBytes)),
      })
      store.writeValue = writeValue
    }
    expect(new StateFullError('k', 1).code).toBe('state-full')
    expect(await sum()).toBe(0)
  })
})

describe('handles', () => {
  test('a handle is one, however often its call is run', async () => {
    for (const crash of [1, 2].flatMap((at) =>
      (['before', 'applied'] as const).map((when) => ({ at, when })),
    )) {
      const call = aCall()
      const run = async ({ handle }: DurableContext) => (await handle.create('cart', TTL)).id
      expect(await call.node({ crash }).run(run)).toBe('crashed')
      const id = await call.node().run(run)
      expect(id).toMatch(/^[\w-]{22}$/)
      expect(await call.node().run(run)).toBe(id)
      expect(call.store.scopes).toHaveLength(1)
      await aCall(call.store).node().context.handle.open(id)
    }
  })

  test('a handle that has expired is not created again by a later run', async () => {
    const call = aCall()
    const { id } = await call.node().context.handle.create('cart', TTL)
    call.store.expire(scopeOfHandle(id))
    const again = await call.node().context.handle.create('cart', TTL)
    expect(again.id).toBe(id)
    expect(await thrown(again.state.set(1))).toMatchObject({ name: 'UnknownHandleError' })
    expect(call.store.scopes).toEqual([])
  })

  test('several have names of their own, and states apart from each other and from the caller’s', async () => {
    const { context } = aCall().node()
    const { handle } = context
    const [a, b] = [await handle.create('a', TTL), await handle.create('b', TTL)]
    expect(await thrown(handle.create('a', TTL))).toBeInstanceOf(DuplicateStepError)
    const c = await handle.create('a', { ...TTL, key: 'another' })
    const states = [a.state, b.state, c.state, context.state]
    for (const [n, state] of states.entries()) await state.of('two\nlines').set(n)
    for (const [n, state] of states.entries()) await state.set(n)
    expect(await Promise.all(states.map((state) => state.get()))).toEqual([0, 1, 2, 3])
    expect(await thrown(a.state.set(9))).toBeInstanceOf(DuplicateStepError)
    await a.state.set(9, { name: 'again' })
    await b.state.set(9, { name: 'again' })
  })

  test('whatever is not a handle of the caller is the same error', async () => {
    const store = new MemoryContextStore()
    const { id } = await aCall(store).node().context.handle.create('h', TTL)
    const expired = await aCall(store).node().context.handle.create('h', TTL)
    store.expire(scopeOfHandle(expired.id))
    const { handle } = aCall(store).node().context
    const tries: Promise<Handle>[] = [
      ...['', 'x', 'A'.repeat(22), `${id}x`, expired.id, scopeOfHandle(id), 7, undefined, { id }].map(
        (each) => handle.open(each as string),
      ),
      aCall(store, 'bob').node().context.handle.open(id),
      new TestCall({ store, caller: { principal: undefined, isUser: true } }).node().context.handle.open(id),
    ]
    const errors = await Promise.all(tries.map(thrown))
    for (const error of errors) expect(error).toBeInstanceOf(UnknownHandleError)
    expect(new Set(errors.map(({ message, code }) => `${String(code)} ${message}`)).size).toBe(1)
    expect((await handle.open(id)).id).toBe(id)
  })

  test('one of nobody is for whoever has its id, and nobody who is known', async () => {
    const store = new MemoryContextStore()
    const nobody = () => new TestCall({ store, caller: { principal: undefined, isUser: true } })
    const { id } = await nobody().node().context.handle.create('h', TTL)
    await (await nobody().node().context.handle.open(id)).state.set(1)
    expect(await thrown(aCall(store).node().context.handle.open(id))).toBeInstanceOf(UnknownHandleError)
  })

  test('a client hears of it as of an invalid parameter', async () => {
    const error = await thrown(
      aCall()
        .node()
        .run(({ handle }) => handle.open('x')),
    )
    expect(error).toMatchObject({ code: -32602, message: new UnknownHandleError().message })
    expect(error.cause).toBeInstanceOf(UnknownHandleError)
  })

  test('a principal has so many at most', async () => {
    const store = new MemoryContextStore()
    store.beginScope = async () => 'limit'
    const call = aCall(store)
    for (let n = 0; n < 2; n++)
      expect(await thrown(call.node().context.handle.create('h', TTL))).toMatchObject({
        name: 'HandleLimitError',
      })
    expect(new HandleLimitError(3).code).toBe('handle-limit')
  })

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1h'])(
    '%s is no time to live',
    async (ttlMs) => {
      const call = aCall()
      const error = await thrown(call.node().context.handle.create('h', { ttlMs: ttlMs as number }))
      expect(error).toBeInstanceOf(RangeError)
      expect(call.records).toEqual([])
    },
  )
})
