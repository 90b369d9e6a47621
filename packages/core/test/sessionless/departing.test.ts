import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StoreError } from '../../src/errors.js'
import { Departures } from '../../src/http/sessionless/departures.js'
import { memoryStore } from '../../src/index.js'
import type { EndedBy } from '../../src/http/sessionless/departures.js'
import type { Store } from '../../src/index.js'
import type { CallPlace } from '../../src/session/place.js'
import { Watcher } from '../../src/store/watcher.js'
import { overriding } from '../support/overriding.js'
import { Gates, Happenings } from '../support/world.js'

const place = { scope: 'scope', callId: 'call' }
/** So long its client may be away, and then the other nodes are asked. */
const [AWAY_MS, ASKED_MS] = [5000, 2000]
/** So long one may be away whose stream the node has ended. */
const RETURNS_MS = 6000

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
function start({
  store: own = store,
  hears = own,
  mayStay = async () => false,
  cancelAfterMs = AWAY_MS,
  leaving = async () => undefined,
}: Partial<Sees> = {}) {
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
      retryMs: 1000,
      mayStay,
      cancel: async (_place, _requestId, isGone) => {
        await leaving()
        if (await isGone()) cancelledAt.push(Date.now())
      },
    },
    { cancelAfterMs },
  )
  const show = (at: CallPlace = place) => departures.show(at, 1)
  const leave = ({ left, end } = show(), by: EndedBy = 'client') => {
    left(by)
    end()
  }
  /** Resolves to its stream. */
  const back = async (signal = new AbortController().signal, then = () => show()) => {
    let stream!: ReturnType<typeof show>
    await departures.back(place, 1, new Request('http://localhost', { signal }), async () => {
      stream = then()
      return new Response()
    })
    return stream
  }
  return { show, leave, back, asked, cancelledAt, [Symbol.dispose]: () => departures.close() }
}

type Sees = {
  store: Store
  hears: Store
  mayStay: () => Promise<boolean>
  cancelAfterMs: number
  leaving: () => Promise<void>
}

/** Its writes wait at the gate `write`. */
const writesLate = (gates: Gates) =>
  overriding(store, {
    writeValue: async (...of) => {
      await gates.pass('write', new AbortController().signal)
      return store.writeValue(...of)
    },
  })

/** A store that takes no writes yet. */
function refusing() {
  const full = {
    takesWrites: false,
    store: overriding(store, {
      writeValue: async (...of) => {
        if (!full.takesWrites) throw new StoreError('store-refused', 'full')
        return store.writeValue(...of)
      },
    }),
  }
  return full
}

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
  expect(node.cancelledAt).toEqual([leftAt + RETURNS_MS + ASKED_MS])
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
  const late = writesLate(gates)
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
  await expect(coming).rejects.toThrow('gone')
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

test('a node that notes late does not take a client from one that had it before, and has it again', async () => {
  const gates = new Gates()
  const late = writesLate(gates)
  using lost = start({ store: late, hears: store })
  using has = start({ hears: memoryStore() })
  has.leave(await has.back())
  const gone = new AbortController()
  const coming = lost.back(gone.signal)
  await vi.advanceTimersByTimeAsync(1)
  gone.abort()
  await has.back()
  gates.open('write')
  await expect(coming).rejects.toThrow('gone')
  await tooLong()
  expect([has.cancelledAt, lost.cancelledAt]).toEqual([[], []])
})

test('a client that breaks off while it comes back to a second node is waited for by the first one', async () => {
  using first = start()
  using second = start()
  first.leave(await first.back())
  const leftAt = Date.now()
  await expect(second.back(AbortSignal.abort())).rejects.toThrow('gone')
  await tooLong()
  expect([first.cancelledAt, second.cancelledAt]).toEqual([[leftAt + AWAY_MS + ASKED_MS], []])
})

test('a client whose streams on two nodes break one after the other is waited for since the last one', async () => {
  using older = start()
  using newer = start()
  const stream = older.show()
  newer.leave(await newer.back())
  await vi.advanceTimersByTimeAsync(AWAY_MS - 1)
  older.leave(stream)
  const leftAt = Date.now()
  await tooLong()
  expect([older.cancelledAt, newer.cancelledAt]).toEqual([[leftAt + AWAY_MS + ASKED_MS], []])
})

test('a client whose streams on two nodes break at nearly the same time has its call cancelled, once', async () => {
  using older = start()
  using newer = start()
  const stream = older.show()
  newer.leave(await newer.back())
  await vi.advanceTimersByTimeAsync(ASKED_MS / 2)
  older.leave(stream)
  await tooLong()
  expect([...older.cancelledAt, ...newer.cancelledAt]).toHaveLength(1)
})

test.each([AWAY_MS, 0])(
  'a client whose stream the node ends has its time to come back, with %i ms if it closes it',
  async (cancelAfterMs) => {
    using node = start({ cancelAfterMs })
    const older = node.show()
    node.leave(await node.back())
    node.leave(older, 'node')
    const leftAt = Date.now()
    await tooLong()
    expect(node.cancelledAt).toEqual([leftAt + RETURNS_MS + ASKED_MS])
  },
)

test('a client that has heard all has not left', async () => {
  using node = start()
  node.show().end()
  await tooLong()
  expect(node).toMatchObject({ cancelledAt: [], asked: [] })
})

test('of a second call of the same scope it is known by itself who has its client', async () => {
  using first = start()
  using second = start()
  await first.back()
  second.leave(second.show({ ...place, callId: 'again' }))
  await tooLong()
  expect(second.cancelledAt).toHaveLength(1)
})

test('a node that does not know whether it has noted something looks', async () => {
  let fails = true
  const unsure = overriding(store, {
    writeValue: async (...of) => {
      const written = await store.writeValue(...of)
      if (!fails) return written
      fails = false
      throw new StoreError('store-timeout', 'late')
    },
  })
  using node = start({ store: unsure })
  node.leave()
  await vi.advanceTimersByTimeAsync(AWAY_MS)
  await vi.waitUntil(() => node.asked.length > 0)
  await tooLong()
  expect(node.cancelledAt).toHaveLength(1)
})

test('a client whose return the store refuses is not shown its call, and another node may have it', async () => {
  const full = refusing()
  using refused = start({ store: full.store, hears: store })
  using has = start()
  await expect(refused.back()).rejects.toThrow('full')
  const stream = await has.back()
  full.takesWrites = true
  await tooLong()
  has.leave(stream)
  await tooLong()
  expect([refused.cancelledAt, has.cancelledAt]).toEqual([[], [expect.any(Number)]])
})

test('a node that was refused a return does not take the client from the first one, which has noted nothing', async () => {
  const full = refusing()
  using first = start({ hears: memoryStore() })
  using refused = start({ store: full.store, hears: store })
  first.show()
  await expect(refused.back()).rejects.toThrow('full')
  full.takesWrites = true
  await tooLong()
  expect([first.cancelledAt, refused.cancelledAt]).toEqual([[], []])
})

test.each(['the same node', 'another one'])(
  'a client that comes back to %s while its cancellation is left keeps its call',
  async (where) => {
    const gates = new Gates()
    using left = start({ leaving: () => gates.pass('leave', new AbortController().signal) })
    using other = start({ hears: memoryStore() })
    left.leave()
    await tooLong()
    await (where === 'another one' ? other : left).back()
    gates.open('leave')
    await tooLong()
    expect([left.cancelledAt, other.cancelledAt]).toEqual([[], []])
  },
)

test('a client that breaks off while its node leaves keeps its call', async () => {
  const node = start({ cancelAfterMs: 0 })
  const stream = node.show()
  node[Symbol.dispose]()
  node.leave(stream)
  await tooLong()
  expect(node).toMatchObject({ cancelledAt: [], asked: [] })
})

test.each([
  ['at nearly the same time', 5, 10],
  ['one after the other, and the first note is late', 1000, 1500],
])('of streams on two nodes that break %s, one node cancels the call', async (_when, afterMs, takesMs) => {
  const slow = overriding(store, {
    writeValue: async (...of) => {
      await new Promise((resolve) => setTimeout(resolve, takesMs))
      return store.writeValue(...of)
    },
  })
  using older = start({ store: slow, hears: store })
  using newer = start()
  const stream = older.show()
  newer.leave(await newer.back())
  await vi.advanceTimersByTimeAsync(afterMs)
  older.leave(stream)
  await tooLong()
  await tooLong()
  expect([...older.cancelledAt, ...newer.cancelledAt]).toHaveLength(1)
})

test('a client whose stream the node has ended has its time, though it closes another one there', async () => {
  using node = start({ cancelAfterMs: 0 })
  const ended = node.show()
  const other = await node.back()
  node.leave(ended, 'node')
  const leftAt = Date.now()
  node.leave(other)
  await tooLong()
  expect(node.cancelledAt).toEqual([leftAt + RETURNS_MS + ASKED_MS])
})

test('many clients that are gone at once are no leak', async () => {
  const warned = vi.spyOn(process, 'emitWarning')
  using node = start()
  for (let i = 0; i < 20; i++) node.leave(node.show({ scope: `scope-${i}`, callId: 'call' }))
  await vi.advanceTimersByTimeAsync(1)
  expect(warned).not.toHaveBeenCalled()
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
  takesWrites.left = true
  await happened.until('left wrote')
  takesWrites.still = true
  await coming
  await tooLong()
  expect(left.cancelledAt).toEqual([])
})
