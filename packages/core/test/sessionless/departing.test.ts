import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Departures } from '../../src/http/sessionless/departures.js'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { Watcher } from '../../src/store/watcher.js'
import { overriding } from '../support/overriding.js'

const place = { scope: 'scope', callId: 'call' }
/** So long its client may be away, and then the other nodes are asked. */
const [AWAY_MS, ASKED_MS] = [5000, 2000]

let store: Store
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
  store = memoryStore()
  await store.openCall({
    ...place,
    owner: 'owner',
    principal: undefined,
    requestKeys: ['key'],
    data: 'request {}',
    ttlMs: 24 * 60 * 60_000,
    maxOpenCalls: 1,
    begins: { protocolVersion: '2026-07-28' },
  })
})
afterEach(async () => {
  await store.close()
  vi.useRealTimers()
})

/** One node, what it has asked the others, and when it has cancelled the call. */
function start() {
  const asked: string[] = []
  const asking = overriding(store, {
    publish: async (...of) => {
      asked.push(of[1])
      await store.publish(...of)
    },
  })
  const cancelledAt: number[] = []
  const departures = new Departures(
    {
      store: asking,
      watcher: new Watcher(asking),
      logger: console,
      mayStay: async () => false,
      cancel: async () => cancelledAt.push(Date.now()),
    },
    { cancelAfterMs: AWAY_MS },
  )
  const leave = ({ left, end } = departures.show(place, 1)) => {
    left()
    end()
  }
  return { departures, leave, asked, cancelledAt, [Symbol.dispose]: () => departures.close() }
}

test('a client that goes a second time is waited for anew', async () => {
  using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.leave()
  const leftAt = Date.now()
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect(node.cancelledAt).toEqual([leftAt + AWAY_MS + ASKED_MS])
})

test('a client that is back on the same node keeps its call, and nobody is asked', async () => {
  using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.departures.show(place, 1)
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect(node).toMatchObject({ cancelledAt: [], asked: [] })
})

test('a client that closes the newer one of its two streams keeps its call until it closes the other', async () => {
  using older = start()
  using newer = start()
  const stream = older.departures.show(place, 1)
  await newer.departures.back(place, new Request('http://localhost'))
  newer.leave()
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect([older.cancelledAt, newer.cancelledAt]).toEqual([[], []])
  older.leave(stream)
  const leftAt = Date.now()
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect([older.cancelledAt, newer.cancelledAt]).toEqual([[leftAt + AWAY_MS + ASKED_MS], []])
})
