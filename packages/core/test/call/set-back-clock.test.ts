import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Heartbeat } from '../../src/call/heartbeat.js'
import { openStorage, STORES } from '../support/stores.js'

const HOUR_MS = 3_600_000
const LEASE = { heartbeatMs: 500, leaseMs: 10_000, sweepMs: 1000 }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const setBack = () => vi.setSystemTime(Date.now() - HOUR_MS)
const pass = (ms: number) => vi.advanceTimersByTime(ms)

async function beats(heartbeat: Heartbeat, ms: number) {
  for (let passed = 0; passed < ms; passed += LEASE.heartbeatMs) {
    pass(LEASE.heartbeatMs)
    await heartbeat.beat()
  }
}

test('a node that waits to judge the others does not wait until the clock is there again', async () => {
  const heartbeat = new Heartbeat(
    async () => true,
    LEASE,
    async () => undefined,
  )
  await heartbeat.beat()
  heartbeat.waitToJudge()
  setBack()
  await beats(heartbeat, 4500)
  expect(heartbeat.mayJudge()).toBe(false)
  await beats(heartbeat, 1000)
  expect(heartbeat.mayJudge()).toBe(true)
})

test('a node that has stood still is not sure of itself', async () => {
  const heartbeat = new Heartbeat(
    async () => true,
    LEASE,
    async () => undefined,
  )
  await heartbeat.beat()
  setBack()
  expect(heartbeat.isKnown).toBe(true)
  pass(LEASE.leaseMs)
  expect([heartbeat.isKnown, heartbeat.isSure]).toEqual([false, false])
})

describe.each(STORES.filter((kind) => kind !== 'redis'))('nodes by a clock that was set back, %s', (kind) => {
  test('that are dead get late', async () => {
    await using storage = openStorage(kind)
    const store = storage.forNode()
    await store.beat('dead')
    await store.beat('alive')
    setBack()
    await store.beat('alive')
    pass(LEASE.leaseMs)
    await store.beat('alive')
    const nodes = await store.listNodes()
    expect(Object.fromEntries(nodes.map(({ node, lateMs }) => [node, lateMs]))).toEqual({
      dead: LEASE.leaseMs,
      alive: 0,
    })
  })
})
