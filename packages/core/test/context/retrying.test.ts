import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  AtMostOnceFailedBeforeCompleting,
  CallStoppedError,
  StepTimeoutError,
} from '../../src/context/errors.js'
import type { StepBody, StepRun } from '../../src/context/step-options.js'
import { AT_ONCE, TestCall, thrown } from './support.js'

class NetworkError extends Error {}
class Rejected extends Error {}

/** A body that throws these, one after the other, then succeeds. */
function failing(...errors: unknown[]) {
  let next = 0
  return vi.fn<(run: StepRun) => string>(() => {
    if (next < errors.length) throw errors[next++]
    return 'value'
  })
}

describe('at least once', () => {
  test('is tried again until it succeeds', async () => {
    const call = new TestCall()
    const body = failing(new Error('1'), new Error('2'))
    expect(await call.node().context.atLeastOnce('s', body, { backoff: AT_ONCE })).toBe('value')
    expect(body).toHaveBeenCalledTimes(3)
    expect(body.mock.calls.map(([run]) => run.attempt)).toEqual([1, 2, 3])
    expect(call.phases('s')).toEqual(['done'])
  })

  test('records the last error when its attempts are used up, and is not run again', async () => {
    const call = new TestCall()
    const body = failing(new Error('1'), new Error('2'), new Error('3'))
    const run = () => call.node().context.atLeastOnce('s', body, { attempts: 2, backoff: AT_ONCE })
    expect((await thrown(run())).message).toBe('2')
    expect((await thrown(run())).message).toBe('2')
    expect(body).toHaveBeenCalledTimes(2)
  })

  test.each([
    ['not retryable', { retryable: [NetworkError] }],
    ['non-retryable', { nonRetryable: [Rejected] }],
    ['both', { retryable: [Error], nonRetryable: [Rejected] }],
    ['by a function', { retryable: (error: unknown) => error instanceof NetworkError }],
  ])('an error that is %s ends it', async (_what, policy) => {
    const body = failing(new NetworkError(), new Rejected('no'))
    const { context } = new TestCall().node()
    const error = await thrown(context.atLeastOnce('s', body, { ...policy, backoff: AT_ONCE }))
    expect(error.message).toBe('no')
    expect(body).toHaveBeenCalledTimes(2)
  })

  test.each([0, -1, Number.NaN])('%s attempts are one', async (attempts) => {
    const body = failing(new Error('1'), new Error('2'))
    const { context } = new TestCall().node()
    expect((await thrown(context.atLeastOnce('s', body, { attempts }))).message).toBe('1')
  })

  test('runs again after a crash, even if it had succeeded', async () => {
    const call = new TestCall()
    let runs = 0
    const body = () => ++runs
    const crashed = call.node({ crash: { at: 1, when: 'before' } })
    void crashed.context.atLeastOnce('s', body)
    await crashed.died
    expect(await call.node().context.atLeastOnce('s', body)).toBe(2)
  })
})

describe('at most once', () => {
  test('its start is recorded before it runs', async () => {
    const call = new TestCall()
    const phases: string[][] = []
    await call.node().context.atMostOnce('s', () => void phases.push(call.phases('s')))
    expect(phases).toEqual([['started']])
    expect(call.phases('s')).toEqual(['started', 'done'])
  })

  test('an error is recorded at once', async () => {
    const call = new TestCall()
    const body = failing(new Rejected('no'))
    const run = () => call.node().context.atMostOnce('s', body, { errors: [Rejected] })
    const [first, second] = [await thrown(run()), await thrown(run())]
    expect([first.message, second.message]).toEqual(['no', 'no'])
    expect(first).toBeInstanceOf(Rejected)
    expect(second).toBeInstanceOf(Rejected)
    expect(body).toHaveBeenCalledTimes(1)
    expect(call.phases('s')).toEqual(['started', 'failed'])
  })

  test('a retryable error clears the mark and is tried again', async () => {
    const call = new TestCall()
    const body = failing(new NetworkError(), new NetworkError())
    const policy = { retryable: [NetworkError], backoff: AT_ONCE }
    expect(await call.node().context.atMostOnce('s', body, policy)).toBe('value')
    expect(call.phases('s')).toEqual(['started', 'cleared', 'started', 'cleared', 'started', 'done'])
  })

  test('a retryable error is recorded when the attempts are used up', async () => {
    const call = new TestCall()
    const body = failing(new NetworkError('1'), new NetworkError('2'), new NetworkError('3'))
    const policy = { retryable: [NetworkError], attempts: 2, backoff: AT_ONCE }
    expect((await thrown(call.node().context.atMostOnce('s', body, policy))).message).toBe('2')
    expect((await thrown(call.node().context.atMostOnce('s', body, policy))).message).toBe('2')
    expect(call.phases('s')).toEqual(['started', 'cleared', 'started', 'failed'])
  })

  test('a node that dies after the start: its end is unknown, which is recorded once', async () => {
    const call = new TestCall()
    const body = vi.fn<() => number>(() => 1)
    const crashed = call.node({ crash: { at: 2, when: 'before' } })
    void crashed.context.atMostOnce('s', body)
    await crashed.died
    for (let run = 0; run < 2; run++) {
      const error = await thrown(call.node().context.atMostOnce('s', body))
      expect(error).toBeInstanceOf(AtMostOnceFailedBeforeCompleting)
      expect(error).toMatchObject({ code: 'at-most-once-failed', step: 's' })
    }
    expect(call.phases('s')).toEqual(['started', 'failed'])
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('a node that dies while it waits to try again: the next one tries', async () => {
    const call = new TestCall()
    const body = failing(new NetworkError())
    const crashed = call.node({ crash: { at: 3, when: 'before' } })
    void crashed.context.atMostOnce('s', body, { retryable: [NetworkError], backoff: AT_ONCE })
    await crashed.died
    expect(call.phases('s')).toEqual(['started', 'cleared'])
    expect(await call.node().context.atMostOnce('s', body)).toBe('value')
  })

  test('a start that was not acknowledged did not run', async () => {
    const call = new TestCall()
    const body = vi.fn<() => number>(() => 1)
    const crashed = call.node({ crash: { at: 1, when: 'applied' } })
    void crashed.context.atMostOnce('s', body)
    await crashed.died
    expect(body).not.toHaveBeenCalled()
  })

  test('a node that was fenced off does not run it', async () => {
    const call = new TestCall()
    const zombie = call.node()
    call.node()
    const body = vi.fn<() => number>(() => 1)
    expect((await thrown(zombie.context.atMostOnce('s', body))).message).toBe('fenced')
    expect(body).not.toHaveBeenCalled()
  })
})

describe('with time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('the pause grows from attempt to attempt, up to its bound', async () => {
    const started: number[] = []
    const body = () => {
      started.push(Date.now())
      throw new Error('no')
    }
    const backoff = { initialMs: 10, factor: 3, maxMs: 200, jitter: 0 }
    const step = thrown(new TestCall().node().context.atLeastOnce('s', body, { attempts: 6, backoff }))
    await vi.runAllTimersAsync()
    await step
    expect(started.slice(1).map((at, i) => at - (started[i] ?? 0))).toEqual([10, 30, 90, 200, 200])
  })

  test('jitter only shortens the pause, and at most by its part', async () => {
    const started: number[] = []
    const body = () => {
      started.push(Date.now())
      throw new Error('no')
    }
    const backoff = { initialMs: 1000, factor: 1, jitter: 0.4 }
    const step = thrown(new TestCall().node().context.atLeastOnce('s', body, { attempts: 30, backoff }))
    await vi.runAllTimersAsync()
    await step
    const pauses = started.slice(1).map((at, i) => at - (started[i] ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(599)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1001)
    expect(new Set(pauses).size).toBeGreaterThan(5)
  })

  test('by default ten attempts in about a minute', async () => {
    const body = failing(...Array.from({ length: 20 }, () => new Error('no')))
    const begun = Date.now()
    const step = thrown(new TestCall().node().context.atLeastOnce('s', body))
    await vi.runAllTimersAsync()
    await step
    expect(body).toHaveBeenCalledTimes(10)
    expect(Date.now() - begun).toBeLessThan(60_000)
    expect(Date.now() - begun).toBeGreaterThan(20_000)
  })

  test('an attempt that takes too long is told so, and the next one begins', async () => {
    const reasons: unknown[] = []
    const body = vi.fn<StepBody<string>>(({ signal, attempt }) => {
      if (attempt === 2) return 'value'
      return new Promise<string>(() => {
        signal.addEventListener('abort', () => reasons.push(signal.reason))
      })
    })
    const step = new TestCall().node().context.atLeastOnce('s', body, { timeoutMs: 500, backoff: AT_ONCE })
    await vi.advanceTimersByTimeAsync(499)
    expect(body).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await step).toBe('value')
    expect(reasons).toEqual([expect.any(StepTimeoutError)])
  })

  test('a time-out is an error like any other: at most once it ends the step, and what the body does later is ignored', async () => {
    const call = new TestCall()
    let late: (value: string) => void = () => undefined
    const body = () => new Promise<string>((resolve) => (late = resolve))
    const step = thrown(call.node().context.atMostOnce('s', body, { timeoutMs: 500 }))
    await vi.advanceTimersByTimeAsync(500)
    const error = await step
    expect(error).toBeInstanceOf(StepTimeoutError)
    expect(error.data).toEqual({ step: 's', timeoutMs: 500 })
    late('late')
    await vi.runAllTimersAsync()
    expect(await thrown(call.node().context.atMostOnce('s', () => 'again'))).toBeInstanceOf(StepTimeoutError)
    expect(call.phases('s')).toEqual(['started', 'failed'])
  })

  test('a body that obeys the signal has timed out none the less', async () => {
    const body = ({ signal }: { signal: AbortSignal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
      })
    const { context } = new TestCall().node()
    const step = thrown(context.atLeastOnce('s', body, { timeoutMs: 500, attempts: 1 }))
    await vi.advanceTimersByTimeAsync(500)
    expect(await step).toBeInstanceOf(StepTimeoutError)
  })

  test('no timer is left behind', async () => {
    await new TestCall().node().context.atLeastOnce('s', () => 1, { timeoutMs: 500 })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a stopped call does not wait for the next attempt', async () => {
    const node = new TestCall().node()
    const step = thrown(node.context.atLeastOnce('s', failing(new Error('no'))))
    await vi.advanceTimersByTimeAsync(1)
    node.cancel()
    expect(await step).toBeInstanceOf(CallStoppedError)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a call that is stopped', () => {
  test('stops the body, and records nothing of what that throws', async () => {
    const call = new TestCall()
    const node = call.node()
    const body = vi.fn<StepBody<unknown>>(
      ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    )
    const steps = [node.context.atLeastOnce('l', body), node.context.atMostOnce('m', body)]
    await vi.waitFor(() => expect(body).toHaveBeenCalledTimes(2))
    node.cancel('moved to another node')
    for (const step of steps) {
      const error = await thrown(step)
      expect(error).toBeInstanceOf(CallStoppedError)
      expect(error.message).toContain('moved to another node')
    }
    expect(call.records).toEqual([{ id: 'm', kind: 'body', phase: 'started' }])
    const next = call.node().context
    const again = [next.atLeastOnce('l', () => 1), next.atMostOnce('m', () => 1)] as const
    expect(await again[0]).toBe(1)
    expect(await thrown(again[1])).toBeInstanceOf(AtMostOnceFailedBeforeCompleting)
  })

  test('what a body comes to after that is recorded while this node may still write', async () => {
    const call = new TestCall()
    const node = call.node()
    const ends: Record<string, () => void> = {}
    const late = (name: string, error?: Error) => () =>
      new Promise((resolve, reject) => {
        ends[name] = () => (error ? reject(error) : resolve('late'))
      })
    const retryable = [NetworkError]
    const steps = [
      node.context.atMostOnce('value', late('value')),
      node.context.atMostOnce('cleared', late('cleared', new NetworkError()), { retryable }),
      node.context.atMostOnce('unknown', late('unknown', new Rejected()), { retryable }),
      node.context.atLeastOnce('again', late('again', new Rejected()), { attempts: 1 }),
    ]
    await vi.waitFor(() => expect(Object.keys(ends)).toHaveLength(4))
    node.cancel('this node is going')
    for (const step of steps) expect(await thrown(step)).toBeInstanceOf(CallStoppedError)
    for (const end of Object.values(ends)) end()
    await vi.waitFor(() => expect(call.phases('cleared')).toEqual(['started', 'cleared']))
    expect(call.phases('value')).toEqual(['started', 'done'])
    expect(call.phases('unknown')).toEqual(['started'])
    expect(call.phases('again')).toEqual([])
  })

  test('a start that is acknowledged only after that is taken back', async () => {
    const call = new TestCall()
    const node = call.node()
    const body = vi.fn<() => void>()
    const step = thrown(node.context.atMostOnce('s', body))
    node.cancel()
    expect(await step).toBeInstanceOf(CallStoppedError)
    await vi.waitFor(() => expect(call.phases('s')).toEqual(['started', 'cleared']))
    expect(body).not.toHaveBeenCalled()
  })

  test('does not wait for a body that goes on', async () => {
    const node = new TestCall().node()
    const step = thrown(node.context.atLeastOnce('s', () => new Promise(() => undefined)))
    node.cancel()
    expect(await step).toBeInstanceOf(CallStoppedError)
  })

  test('every method throws', async () => {
    const node = new TestCall({ progressToken: 't' }).node()
    const { context } = node
    const map = context.map('m')
    node.cancel()
    const calls: Promise<unknown>[] = [
      context.atLeastOnce('1', () => 1),
      context.atMostOnce('2', () => 1),
      context.elicit('3', { message: 'm', requestedSchema: { type: 'object', properties: {} } }),
      context.sample('4', { messages: [], maxTokens: 1 }),
      context.listRoots('5'),
      context.sleep('6', 1),
      context.now('7'),
      context.uuid7('8'),
      context.random('9'),
      context.progress(1),
      context.info('10'),
      context.notify({ method: 'notifications/x' }),
      context.state.get(),
      context.state.set(1),
      context.state.update(() => 1),
      map.insert({ a: new Uint8Array() }),
      map.remove('a'),
      map.get('a'),
      map.range(),
    ]
    for (const call of calls) expect(await thrown(call)).toBeInstanceOf(CallStoppedError)
    expect(context.signal.aborted).toBe(true)
  })

  test('a hundred steps at once listen to it without a warning', async () => {
    const warnings: Error[] = []
    const warn = (warning: Error) => void warnings.push(warning)
    process.on('warning', warn)
    const { context } = new TestCall().node()
    await Promise.all(Array.from({ length: 100 }, (_, i) => context.atMostOnce(`s${i}`, () => i)))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warn)
    expect(warnings).toEqual([])
  })
})
