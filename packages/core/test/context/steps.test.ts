import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { DuplicateStepError, NestedStepError, StepValueError } from '../../src/context/errors.js'
import type { StandardSchema } from '../../src/context/standard-schema.js'
import { TestCall, thrown } from './support.js'

/** Does its work when it is waited for, and gives no promise from `then`: so do the queries of some database clients. */
class Query<T> {
  constructor(private readonly run: (resolve: (value: T) => void, reject: (error: Error) => void) => void) {}

  // oxlint-disable-next-line unicorn/no-thenable -- what this class is for
  then(resolve: (value: T) => void, reject: (error: Error) => void) {
    this.run(resolve, reject)
  }
}

describe.each(['atLeastOnce', 'atMostOnce'] as const)('%s', (method) => {
  test('runs its body in the first run only', async () => {
    const call = new TestCall()
    const body = vi.fn<() => { id: number }>(() => ({ id: 7 }))
    expect(await call.node().context[method]('create', body)).toEqual({ id: 7 })
    expect(await call.node().context[method]('create', body)).toEqual({ id: 7 })
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('gives out the recorded form in the first run too', async () => {
    const call = new TestCall()
    const value = { big: 2n, at: new Date(0), map: new Map([[1, new Set(['x'])]]), none: undefined }
    const first = await call.node().context[method]('s', () => value)
    expect(first).toEqual(value)
    expect(first).not.toBe(value)
    expect(first.map).not.toBe(value.map)
    expect(Object.keys(first)).toContain('none')
    expect(await call.node().context[method]('s', () => value)).toEqual(first)
  })

  test('a body may give anything that can be waited for, such as a query that runs when it is', async () => {
    const call = new TestCall()
    const rows = new Query((resolve) => resolve([1, 2]))
    expect(await call.node().context[method]('s', () => rows as unknown as Promise<number[]>)).toEqual([1, 2])
    const failing = new Query((_, reject) => reject(new RangeError('no')))
    const step = call
      .node({ partial: true })
      .context[method]('t', () => failing as unknown as Promise<void>, { attempts: 1 })
    expect(await thrown(step)).toBeInstanceOf(RangeError)
  })

  test('a step without a value has ended too', async () => {
    const call = new TestCall()
    const body = vi.fn<() => undefined>()
    expect(await call.node().context[method]('s', body)).toBeUndefined()
    expect(await call.node().context[method]('s', body)).toBeUndefined()
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('the schema is applied to the recorded value, in every run', async () => {
    const call = new TestCall()
    const schema = z.object({ n: z.string().transform(Number) })
    const run = () => call.node().context[method]('s', () => ({ n: '42', more: 1 }), { schema })
    expect(await run()).toEqual({ n: 42 })
    expect(await run()).toEqual({ n: 42 })
    expectTypeOf(run).returns.resolves.toEqualTypeOf<{ n: number }>()
  })

  test('a value that does not fit is an error that names the step, recorded, and not tried again', async () => {
    const call = new TestCall()
    const body = vi.fn<() => unknown>(() => ({ n: 'x' }))
    const run = () => call.node().context[method]('s', body, { schema: z.object({ n: z.number() }) })
    const [first, second] = [await thrown(run()), await thrown(run())]
    expect(first).toBeInstanceOf(StepValueError)
    expect(first.message).toMatch(/"s" does not fit its schema: n: /)
    expect(second).toEqual(first)
    expect(second).toBeInstanceOf(StepValueError)
    expect(body).toHaveBeenCalledTimes(1)
  })

  test.each<[string, () => unknown]>([
    ['a function', () => () => 1],
    ['an instance of a class', () => ({ headers: new Headers() })],
    ['a promise inside', () => ({ p: Promise.resolve(1) })],
  ])('%s cannot be recorded', async (_what, body) => {
    const call = new TestCall()
    const first = await thrown(call.node().context[method]('s', body))
    expect(first).toBeInstanceOf(StepValueError)
    expect(first.message).toMatch(/"s" cannot be recorded/)
    expect((first as StepValueError).step).toBe('s')
    const second = await thrown(call.node().context[method]('s', body))
    expect(second).toBeInstanceOf(StepValueError)
    expect((second as StepValueError).step).toBe('s')
    expect(second.message).toBe(first.message)
  })

  test('a recorded value that the code of today does not want is an error', async () => {
    const call = new TestCall()
    await call.node().context[method]('s', () => 'text')
    const replay = call.node().context[method]('s', () => 1, { schema: z.number() })
    expect(await thrown(replay)).toBeInstanceOf(StepValueError)
  })

  test('a schema that throws is an error that names the step', async () => {
    const schema: StandardSchema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw new Error('broken')
        },
      },
    }
    const error = await thrown(new TestCall().node().context[method]('s', () => 1, { schema }))
    expect(error).toBeInstanceOf(StepValueError)
    expect(error.message).toMatch(/"s" could not be checked: broken/)
  })

  test('the same name twice throws at once, and the first step goes on', async () => {
    const { context } = new TestCall().node()
    const second = vi.fn<() => number>(() => 2)
    const first = context[method]('s', () => 1)
    expect(await thrown(context[method]('s', second))).toBeInstanceOf(DuplicateStepError)
    expect(await thrown(context.sleep('s', 1))).toBeInstanceOf(DuplicateStepError)
    expect(await first).toBe(1)
    expect(await thrown(context[method]('s', second))).toBeInstanceOf(DuplicateStepError)
    expect(second).not.toHaveBeenCalled()
  })

  test('keys tell steps of one name apart', async () => {
    const call = new TestCall()
    const run = async () => {
      const { context } = call.node()
      return Promise.all(['a', 'b', 1].map((key) => context[method]('s', () => `value ${key}`, { key })))
    }
    expect(await run()).toEqual(['value a', 'value b', 'value 1'])
    expect(await run()).toEqual(['value a', 'value b', 'value 1'])
    const { context } = call.node({ partial: true })
    await context[method]('s', () => 'x', { key: 1 })
    const twice = await thrown(context[method]('s', () => 'x', { key: '1' }))
    expect(twice).toBeInstanceOf(DuplicateStepError)
    expect(twice.message).toContain('s (1)')
  })

  test('steps are known by name, not by their place', async () => {
    const call = new TestCall()
    const first = call.node().context
    await Promise.all([first[method]('a', () => 'A'), first[method]('b', () => 'B')])
    const { context } = call.node({ partial: true })
    expect(await context[method]('new', () => 'N')).toBe('N')
    expect(await context[method]('b', () => 'other')).toBe('B')
    expect(await context[method]('a', () => 'other')).toBe('A')
  })

  test('a name is one line of text', async () => {
    const { context } = new TestCall().node()
    expect(await thrown(context[method]('', () => 1))).toBeInstanceOf(TypeError)
    expect(await thrown(context[method]('a\nb', () => 1))).toBeInstanceOf(TypeError)
  })

  test('a step inside a step throws, and is not tried again', async () => {
    const call = new TestCall()
    const { context } = call.node()
    const body = vi.fn<() => Promise<number>>(() => context.now('inner'))
    const error = await thrown(context[method]('outer', body))
    expect(error).toBeInstanceOf(NestedStepError)
    expect(error.message).toMatch(/"inner".*"outer"/)
    expect(body).toHaveBeenCalledTimes(1)
    expect(await context.now('inner')).toBeTypeOf('number')
  })

  test('a step inside a step of another call does not', async () => {
    const [one, other] = [new TestCall().node().context, new TestCall().node().context]
    expect(await one[method]('s', () => other[method]('s', () => 1))).toBe(1)
  })

  test('the idempotency key is the same in every run, and no other step has it', async () => {
    const call = new TestCall()
    const keys: string[] = []
    const note = ({ idempotencyKey }: { idempotencyKey: string }) => void keys.push(idempotencyKey)
    const crashed = call.node({ crash: { at: 1, when: 'before' } })
    void crashed.context.atLeastOnce('s', note)
    await crashed.died
    await call.node().context.atLeastOnce('s', note)
    expect(new Set(keys).size).toBe(1)
    await call.node({ partial: true }).context[method]('t', note)
    await call.node({ partial: true }).context[method]('s', note, { key: 't' })
    await new TestCall().node().context[method]('s', note)
    expect(new Set(keys).size).toBe(4)
    expect(keys[0]).toMatch(/^[\w-]{22}$/)
  })
})

test('round trips: at least once takes one, at most once two', async () => {
  const call = new TestCall()
  const node = call.node()
  await node.context.atLeastOnce('a', () => 1)
  expect(node.operations).toBe(1)
  await node.context.atMostOnce('b', () => 1)
  expect(node.operations).toBe(3)
  expect(call.phases('b')).toEqual(['started', 'done'])
  const replay = call.node()
  await replay.context.atLeastOnce('a', () => 1)
  await replay.context.atMostOnce('b', () => 1)
  expect(replay.operations).toBe(0)
})

test('the values of now, random and uuid7 are those of the first run', async () => {
  const call = new TestCall()
  const run = async () => {
    const { context } = call.node()
    return [await context.now('n'), await context.random('r'), await context.uuid7('u')] as const
  }
  const [now, random, uuid] = await run()
  expect(await run()).toEqual([now, random, uuid])
  expect(Math.abs(Date.now() - now)).toBeLessThan(60_000)
  expect(random).toBeGreaterThanOrEqual(0)
  expect(random).toBeLessThan(1)
  expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
})
