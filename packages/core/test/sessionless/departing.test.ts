import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StoreError } from '../../src/errors.js'
import { Departures } from '../../src/http/sessionless/departures.js'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { Watcher } from '../../src/store/watcher.js'
import { overriding } from '../support/overriding.js'
import { Gates, Happenings } from '../support/world.js'

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

/** One node, what it has asked the others, and when it has cancelled the call. `store`: how it sees it; `hears`: what others ask it. */
function start({ store: own = store, hears = own, mayStay = async () => false }: Partial<Sees> = {}) {
  const asked: string[] = []
  const asking = overriding(own, {
    publish: async (...of) => {
      asked.push(of[1])
      await own.publish(...of)
    },
  })
  const cancelledAt: number[] = []
  const departures = new Departures(
    {
      store: asking,
      watcher: new Watcher(hears),
      logger: console,
      mayStay,
      cancel: async () => cancelledAt.push(Date.now()),
    },
    { cancelAfterMs: AWAY_MS },
  )
  const show = () => departures.show(place, 1)
  const leave = ({ left, end } = show()) => {
    left()
    end()
  }
  /** Resolves to its stream. */
  const back = async (signal = new AbortController().signal, then = show) => {
    let stream: ReturnType<typeof show> | undefined
    await departures.back(place, 1, new Request('http://localhost', { signal }), async () => {
      stream = then()
      return new Response()
    })
    return stream
  }
  return { show, leave, back, asked, cancelledAt, [Symbol.dispose]: () => departures.close() }
}

type Sees = { store: Store; hears: Store; mayStay: () => Promise<boolean> }

/** Longer than a client that is not back may be away. */
const tooLong = () => vi.advanceTimersByTimeAsync(2 * (AWAY_MS + ASKED_MS))

test('a client that goes a second time is waited for anew', async () => {
  using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.leave()
  const leftAt = Date.now()
  await tooLong()
  expect(node.cancelledAt).toEqual([leftAt + AWAY_MS + ASKED_MS])
})

test('a client that is back on the same node keeps its call, and nobody is asked', async () => {
  using node = start()
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  node.show()
  await tooLong()
  expect(node).toMatchObject({ cancelledAt: [], asked: [] })
})

test('a client that comes back to the same node while that decides keeps its call', async () => {
  let decide: (() => void) | undefined
  const mayStay = () => new Promise<boolean>((resolve) => (decide = () => resolve(false)))
  using node = start({ mayStay })
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS + ASKED_MS)
  const coming = node.back()
  decide?.()
  await coming
  await tooLong()
  expect(node.cancelledAt).toEqual([])
})

test('a client that is back, and is refused, is waited for anew', async () => {
  using node = start()
  node.leave()
  const refuse = () => {
    throw new Error('as many streams as it may')
  }
  await expect(node.back(undefined, refuse)).rejects.toThrow('as many')
  const leftAt = Date.now()
  await tooLong()
  expect(node.cancelledAt).toEqual([leftAt + AWAY_MS + ASKED_MS])
})

test('a client that closes the newer one of its two streams keeps its call until it closes the other', async () => {
  using older = start()
  using newer = start()
  const stream = older.show()
  newer.leave(await newer.back())
  await tooLong()
  expect([older.cancelledAt, newer.cancelledAt]).toEqual([[], []])
  older.leave(stream)
  const leftAt = Date.now()
  await tooLong()
  expect([older.cancelledAt, newer.cancelledAt]).toEqual([[leftAt + AWAY_MS + ASKED_MS], []])
})

test('a client that is back on a node which stands still keeps its call', async () => {
  using left = start()
  using still = start({ hears: memoryStore() })
  left.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  await still.back()
  await tooLong()
  expect(left).toMatchObject({ cancelledAt: [], asked: [] })
})

test('a client that comes back while the others are asked, to a node that does not hear it, keeps its call', async () => {
  using left = start()
  using still = start({ hears: memoryStore() })
  left.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS + ASKED_MS - 1)
  await still.back()
  await tooLong()
  expect(left.cancelledAt).toEqual([])
})

test('a node that notes late that it had a client again does not take it from the one that has it', async () => {
  const gates = new Gates()
  const late = overriding(store, {
    writeValue: async (...of) => {
      await gates.pass('write', new AbortController().signal)
      return store.writeValue(...of)
    },
  })
  using left = start()
  using lost = start({ store: late, hears: store })
  using has = start({ hears: memoryStore() })
  left.leave()
  const gone = new AbortController()
  const coming = lost.back(gone.signal)
  await vi.advanceTimersByTimeAsync(1)
  gone.abort()
  await has.back()
  gates.open('write')
  lost.leave(await coming)
  await tooLong()
  expect([left.cancelledAt, lost.cancelledAt]).toEqual([[], []])
})

test('a client that comes back just as the node that it left notes that it is gone keeps its call', async () => {
  const gates = new Gates()
  const slow = overriding(store, {
    readValue: async (...of) => {
      const value = await store.readValue(...of)
      await gates.pass('read', new AbortController().signal)
      return value
    },
  })
  using left = start()
  using still = start({ store: slow, hears: memoryStore() })
  left.leave()
  const coming = still.back()
  await vi.advanceTimersByTimeAsync(AWAY_MS)
  gates.open('read')
  await coming
  await tooLong()
  expect(left.cancelledAt).toEqual([])
})

test('a client that comes back while the store takes no writes keeps its call when it takes them again', async () => {
  const happened = new Happenings()
  const takesWrites = { left: true, still: true }
  const as = (node: keyof typeof takesWrites) =>
    overriding(store, {
      writeValue: async (...of) => {
        if (!takesWrites[node]) throw new StoreError('store-unavailable', 'full')
        const written = await store.writeValue(...of)
        happened.add(`${node} wrote`)
        return written
      },
    })
  using left = start({ store: as('left') })
  using still = start({ store: as('still'), hears: memoryStore() })
  left.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  Object.assign(takesWrites, { left: false, still: false })
  const coming = still.back()
  await tooLong()
  // Not for ever does it wait for that.
  expect(await coming).toBeDefined()
  takesWrites.left = true
  await happened.until('left wrote')
  takesWrites.still = true
  await happened.until('still wrote')
  await tooLong()
  expect(left.cancelledAt).toEqual([])
})
