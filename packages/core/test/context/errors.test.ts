import { McpError } from '@modelcontextprotocol/sdk/types.js'
import { ProtocolError } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import * as contextErrors from '../../src/context/errors.js'
import { RecordedError, StepError } from '../../src/context/errors.js'
import type { ErrorClass } from '../../src/context/error-codec.js'
import { decodeError, encodeError } from '../../src/context/error-codec.js'
import { DurableError, StoreError } from '../../src/errors.js'
import { TestCall, thrown } from './support.js'

class PaymentError extends Error {
  override name = 'PaymentError'
  readonly code = 'declined'
  constructor(
    message: string,
    readonly data: unknown,
  ) {
    super(message)
  }
}
class CardError extends PaymentError {}

/** What a step throws in the first run and in a replay. */
async function bothTimes(error: unknown, errors: readonly ErrorClass[] = []) {
  const call = new TestCall()
  const body = () => {
    throw error
  }
  const run = () => thrown(call.node().context.atMostOnce('s', body, { errors }))
  return [await run(), await run()] as const
}

describe('what a step throws is the same in the first run and in a replay', () => {
  test('name, message, code and data, and its class', async () => {
    for (const error of await bothTimes(new PaymentError('no funds', { at: new Date(0) }), [PaymentError])) {
      expect(error).toBeInstanceOf(PaymentError)
      expect(error).toMatchObject({ name: 'PaymentError', message: 'no funds', code: 'declined' })
      expect(error.data).toEqual({ at: new Date(0) })
    }
  })

  test('the nearest known ancestor when its class is not named', async () => {
    for (const error of await bothTimes(new CardError('x', 1), [PaymentError])) {
      expect(error).toBeInstanceOf(PaymentError)
      expect(error).not.toBeInstanceOf(CardError)
    }
    for (const error of await bothTimes(new CardError('x', 1), [PaymentError, CardError])) {
      expect(error).toBeInstanceOf(CardError)
    }
  })

  test('a step ends also with what has no recorded form', async () => {
    const nothing = Object.defineProperty(new Error('x'), 'message', {
      get() {
        throw new TypeError('no message')
      },
    })
    const bodies = [
      () => {
        throw nothing
      },
      async () => {
        throw nothing
      },
    ]
    for (const body of bodies) {
      const call = new TestCall()
      const step = call.node().context.atLeastOnce('s', body, { attempts: 1 })
      expect(await thrown(step)).toBeInstanceOf(TypeError)
      expect(call.records).toEqual([])
    }
  })

  test('a RecordedError when no class is known', async () => {
    for (const error of await bothTimes(new CardError('x', 1))) {
      expect(error).toBeInstanceOf(RecordedError)
      expect(error).not.toBeInstanceOf(PaymentError)
      expect(error).toMatchObject({ name: 'PaymentError', message: 'x', code: 'declined', data: 1 })
    }
    const [first] = await bothTimes(new (class Other extends Error {})('x'))
    expect(first.code).toBe('recorded')
  })

  test.each([
    new Error('x'),
    new TypeError('x'),
    new RangeError('x'),
    new SyntaxError('x'),
    new DOMException('x', 'TimeoutError'),
    new StoreError('store-timeout', 'x'),
    new DurableError('my-code', 'x'),
    Object.assign(new Error('x'), { code: 'ECONNRESET' }),
  ])('built in: %s', async (original) => {
    for (const error of await bothTimes(original)) {
      expect(Object.getPrototypeOf(error)).toBe(Object.getPrototypeOf(original))
      expect(error.name).toBe(original.name)
      expect(error.message).toBe(original.message)
      expect(error.code).toBe((original as { code?: unknown }).code)
      expect(String(error)).toBe(String(original))
    }
  })

  test('errors of the SDK, of both majors', async () => {
    for (const error of await bothTimes(new McpError(-32602, 'bad', { a: 1 }), [McpError])) {
      expect(error).toBeInstanceOf(McpError)
      expect(error).toMatchObject({ code: -32602, data: { a: 1 }, message: 'MCP error -32602: bad' })
    }
    for (const error of await bothTimes(new ProtocolError(-32602, 'bad', { a: 1 }), [ProtocolError])) {
      expect(error).toBeInstanceOf(ProtocolError)
      expect(error).toMatchObject({ code: -32602, data: { a: 1 }, message: 'bad' })
    }
  })

  test('causes, and the errors of an AggregateError', async () => {
    const cause = new Error('middle', { cause: { status: 503 } })
    const original = new AggregateError([new TypeError('one'), 'two'], 'all', { cause })
    for (const error of await bothTimes(original)) {
      expect(error).toBeInstanceOf(AggregateError)
      expect(error.cause).toBeInstanceOf(Error)
      expect((error.cause as Error).cause).toEqual({ status: 503 })
      const [one, two] = (error as AggregateError).errors as Error[]
      expect(one).toBeInstanceOf(TypeError)
      expect(two?.message).toBe('two')
    }
  })

  test('what is thrown and no error becomes one', async () => {
    for (const error of await bothTimes({ status: 1 })) {
      expect(error).toBeInstanceOf(RecordedError)
      expect(error.data).toEqual({ status: 1 })
    }
    for (const error of await bothTimes('text')) expect(error.message).toBe('text')
    for (const error of await bothTimes(undefined)) expect(error.message).toBe('undefined')
  })

  test('a catch takes the same branch', async () => {
    const call = new TestCall()
    const run = async () => {
      try {
        await call.node().context.atMostOnce(
          's',
          () => {
            throw new CardError('x', 1)
          },
          { nonRetryable: [PaymentError] },
        )
      } catch (error) {
        return error instanceof PaymentError ? 'rejected' : 'broken'
      }
      return 'paid'
    }
    expect([await run(), await run()]).toEqual(['rejected', 'rejected'])
  })
})

test('in the first run the stack is where it was thrown', async () => {
  const [first] = await bothTimes(new Error('here'))
  expect(first.stack).toMatch(/errors\.test\.ts/)
})

test('data and causes without a recorded form are left out, and nothing else', () => {
  const original = Object.assign(new Error('x', { cause: () => 1 }), { data: { f() {} }, code: 'c' })
  const error = decodeError(encodeError(original), [])
  expect(error).toMatchObject({ message: 'x', code: 'c' })
  expect(error).not.toHaveProperty('data')
  expect(error).not.toHaveProperty('cause')
})

test('a chain of causes is bounded, and one that runs in circles ends', () => {
  const circular = new Error('a')
  circular.cause = new Error('b', { cause: circular })
  let depth = 0
  let error: unknown = decodeError(encodeError(circular), [])
  while (error instanceof Error) {
    depth++
    error = error.cause
  }
  expect(depth).toBe(6)
})

test('every error of this folder has a code of its own, and is revived as what it was', () => {
  const { StepError: _base, RecordedError: _recorded, ...classes } = contextErrors
  const codes = new Set<string>()
  for (const Class of Object.values<new (...args: never[]) => DurableError>(classes)) {
    const error = new Class(...(['a', 'b', { code: 1, message: 'm' }] as never[]))
    const again = decodeError(encodeError(error), []) as DurableError
    expect(Object.getPrototypeOf(again)).toBe(Class.prototype)
    expect(again).toBeInstanceOf(DurableError)
    expect(again.name).toBe(Class.name)
    expect(again.code).toBe(error.code)
    if (error instanceof StepError) expect((again as StepError).step).toBe(error.step)
    codes.add(error.code)
  }
  expect(codes.size).toBe(Object.keys(classes).length)
})
