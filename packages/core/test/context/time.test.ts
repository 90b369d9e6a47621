import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CallStoppedError } from '../../src/context/errors.js'
import { uuid7, uuid7Floor } from '../../src/context/uuid7.js'
import { settled, TestCall, thrown } from './support.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Whether a promise has come to anything after `ms` more. */
async function isOverAfter(promise: Promise<unknown>, ms: number) {
  let over = false
  void settled(promise).then(() => (over = true))
  await turns()
  await vi.advanceTimersByTimeAsync(ms)
  await turns()
  return over
}

test('sleeps as long as it was told', async () => {
  const slept = new TestCall().node().context.sleep('s', 30_000)
  expect(await isOverAfter(slept, 29_999)).toBe(false)
  expect(await isOverAfter(slept, 1)).toBe(true)
})

test('after a takeover it sleeps only the rest', async () => {
  const call = new TestCall()
  const first = call.node()
  const slept = thrown(first.context.sleep('s', 30_000))
  await turns()
  await vi.advanceTimersByTimeAsync(20_000)
  first.cancel()
  expect(await slept).toBeInstanceOf(CallStoppedError)
  expect(vi.getTimerCount()).toBe(0)
  const again = call.node().context.sleep('s', 30_000)
  expect(await isOverAfter(again, 9_999)).toBe(false)
  expect(await isOverAfter(again, 1)).toBe(true)
})

test('a sleep whose time has passed does not wait at all', async () => {
  const call = new TestCall()
  void call.node().context.sleep('s', 1000)
  await turns()
  vi.setSystemTime(Date.now() + 5000)
  await call.node().context.sleep('s', 1000)
  expect(call.phases('s')).toEqual(['done'])
})

test('sleeps longer than the timers of Node.js', async () => {
  const days = 24 * 3_600_000
  const slept = new TestCall().node().context.sleep('s', 60 * days)
  expect(await isOverAfter(slept, 59 * days)).toBe(false)
  expect(await isOverAfter(slept, days)).toBe(true)
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])('%s ms is no time to sleep', async (ms) => {
  expect(await thrown(new TestCall().node().context.sleep('s', ms))).toBeInstanceOf(TypeError)
})

test('a timer that fires early waits on', async () => {
  const slept = new TestCall().node().context.sleep('s', 1000)
  await turns()
  vi.setSystemTime(Date.now() - 10)
  expect(await isOverAfter(slept, 1000)).toBe(false)
  expect(await isOverAfter(slept, 10)).toBe(true)
})

test('UUIDv7s sort by their time, and their floor is a bound', () => {
  const before = uuid7(1_700_000_000_000)
  const floor = uuid7Floor(1_700_000_000_001)
  const after = uuid7(1_700_000_000_001)
  expect([after, floor, before].toSorted()).toEqual([before, floor, after])
  expect(uuid7Floor(new Date(0))).toBe('00000000-0000-7000-8000-000000000000')
  expect(new Set(Array.from({ length: 1000 }, () => uuid7())).size).toBe(1000)
})
