import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sleepFor, startAlarm, startTimer } from '../src/timers.js'

const DAY = 86_400_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const ways = {
  startTimer: (ms: number, action: () => void) => startTimer(ms, action),
  startAlarm: (ms: number, action: () => void) => startAlarm(Date.now() + ms, action),
  sleepFor: (ms: number, action: () => void) => {
    const calledOff = new AbortController()
    void sleepFor(ms, { signal: calledOff.signal }).then(() => !calledOff.signal.aborted && action())
    return () => calledOff.abort()
  },
}

describe.each(Object.entries(ways))('%s', (_name, start) => {
  test.each([1, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 60 * DAY, 1000 * DAY])('%s ms', async (ms) => {
    const action = vi.fn<() => void>()
    start(ms, action)
    await vi.advanceTimersByTimeAsync(ms - 1)
    expect(action).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(action).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('for ever', async () => {
    const action = vi.fn<() => void>()
    start(Number.POSITIVE_INFINITY, action)
    await vi.advanceTimersByTimeAsync(1000 * DAY)
    expect(action).not.toHaveBeenCalled()
  })

  test('leaves no timer when it is called off, early or late', async () => {
    const action = vi.fn<() => void>()
    for (const passed of [0, 40 * DAY]) {
      const callOff = start(60 * DAY, action)
      await vi.advanceTimersByTimeAsync(passed)
      callOff()
      expect(vi.getTimerCount()).toBe(0)
    }
    expect(action).not.toHaveBeenCalled()
  })
})

test('a pause whose signal has fired is none', async () => {
  await sleepFor(Number.POSITIVE_INFINITY, { signal: AbortSignal.abort() })
  expect(vi.getTimerCount()).toBe(0)
})
