import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Departures } from '../../src/http/sessionless/departures.js'
import { memoryStore } from '../../src/index.js'
import { Watcher } from '../../src/store/watcher.js'
import { overriding } from '../support/overriding.js'

const place = { scope: 'scope', callId: 'call' }
/** So long its client may be away, and then the other nodes are asked. */
const [AWAY_MS, ASKED_MS] = [5000, 2000]

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** One node, what it has asked the others, and when it has cancelled the call. */
function start() {
  const own = memoryStore()
  const asked: string[] = []
  const store = overriding(own, {
    publish: async (...of) => {
      asked.push(of[1])
      await own.publish(...of)
    },
  })
  const cancelledAt: number[] = []
  const departures = new Departures(
    {
      store,
      watcher: new Watcher(store),
      logger: console,
      mayStay: async () => false,
      cancel: async () => cancelledAt.push(Date.now()),
    },
    { cancelAfterMs: AWAY_MS },
  )
  const leave = () => {
    const { left, end } = departures.show(place, 1)
    left()
    end()
  }
  const close = async () => {
    departures.close()
    await own.close()
  }
  return { departures, leave, asked, cancelledAt, [Symbol.asyncDispose]: close }
}

test('a client that goes a second time is waited for anew', async () => {
  await using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.leave()
  const leftAt = Date.now()
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect(node.cancelledAt).toEqual([leftAt + AWAY_MS + ASKED_MS])
})

test('a client that is back on the same node keeps its call, and nobody is asked', async () => {
  await using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.departures.show(place, 1)
  await vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))
  expect(node).toMatchObject({ cancelledAt: [], asked: [] })
})
