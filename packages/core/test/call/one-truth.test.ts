import { expect, test } from 'vitest'
import { Journal } from '../../src/call/journal.js'
import type { JournalServices } from '../../src/call/journal.js'
import { Backlog } from '../../src/call/waiting-records.js'
import { encodeRecord, isShown, splitRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'
import { StoreError } from '../../src/error-classes.js'
import type { Entry, EntryId } from '../../src/store/index.js'
import type { Store } from '../../src/index.js'
import { randomId } from '../../src/ids.js'
import { readAll } from '../../src/store/retry.js'
import { Tail } from '../../src/store/tail.js'
import { Watcher } from '../../src/store/watcher.js'
import { openStorage, STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

// What a client gets under an id is what the journal holds under it: from the owner's memory, with a wake-up, or from a
// page; while answers of the store get lost and what it was told lands late, and while an owner does not know that it is
// none any more.

const RUNS = 12
const RECORDS = 20
const SIZES = [10, 10, 10, 5_000, 80_000]
const LATEST_TURNS = 30
const INTERRUPTED = new Set(['appendCall', 'appendQuietly', 'read'])

type Random = () => number
type Reader = { entries: Entry[]; tail: Tail }

/** Reproducible numbers below 1 (mulberry32). */
function randomOf(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

async function turns(count: number) {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A store whose answers take their time or never come, as its news do; `late`: what is done after it was given up. */
function unsteady(store: Store, random: Random, late: Promise<unknown>[]): Store {
  const lost = () => new StoreError('store-timeout', 'The store did not answer.')
  const some = (most: number) => turns(Math.floor(random() * most))
  const watch: Store['watch'] = (scope, listener) =>
    store.watch(scope, (...news) => {
      if (random() < 0.7) void some(LATEST_TURNS).then(() => listener(...news))
    })
  const interrupted = async (work: () => Promise<unknown>) => {
    const fate = random()
    await some(3)
    if (fate < 0.1) {
      const done = some(LATEST_TURNS).then(work)
      late.push(done.catch(() => undefined))
      throw lost()
    }
    const answer = await work()
    await some(3)
    if (fate < 0.2) throw lost()
    return answer
  }
  return new Proxy(store, {
    get(target, name: string) {
      if (name === 'watch') return watch
      const member = Reflect.get(target, name, target) as unknown
      if (typeof member !== 'function') return member
      const plain = (...args: unknown[]) => Reflect.apply(member, target, args) as Promise<unknown>
      return INTERRUPTED.has(name) ? (...args: unknown[]) => interrupted(() => plain(...args)) : plain
    },
  })
}

/** Takes what it gets a little at a time. */
function follow(
  { store, watcher }: JournalServices,
  from: ConstructorParameters<typeof Tail>[2],
  random: Random,
) {
  const reader = { entries: [] as Entry[] } as Reader
  reader.tail = new Tail(store, watcher, from, {
    write: (entry) => {
      reader.entries.push(entry)
      if (random() < 0.7) return true
      void turns(1 + Math.floor(random() * 3)).then(() => reader.tail.resume())
      return false
    },
    over: (reason) => expect.fail(`over: ${reason}`),
  })
  return reader
}

function anyRecord(owner: string, number: number, random: Random): CallRecord {
  const padding = 'x'.repeat(SIZES[Math.floor(random() * SIZES.length)]!)
  if (random() < 0.4)
    return { kind: 'step', step: { id: `${owner}-${number}`, phase: 'done', value: padding } }
  return { kind: 'message', message: { jsonrpc: '2.0', method: `${owner}-${number}`, params: { padding } } }
}

const RESPONSE: CallRecord = { kind: 'response', message: { jsonrpc: '2.0', id: 1, result: {} } }
const shown = (entries: readonly Entry[]) =>
  entries.filter(({ data }) => isShown(splitRecord(data).kind)).map(({ id, data }) => ({ id, data }))

async function expectOneTruth(kind: StoreKind, seed: number) {
  const random = randomOf(seed)
  await using storage = openStorage(kind)
  const plain = storage.forNode()
  const [scope, callId, requestKey] = [randomId(), randomId(), randomId()]
  const log = `call:${callId}` as const
  const session = {
    id: scope,
    principal: undefined,
    protocolVersion: '',
    state: { key: 'k', data: '{}' },
    ttlMs: 60_000,
  }
  await plain.createSession(session, { maxPerPrincipal: 1 })
  const call = {
    scope,
    callId,
    principal: undefined,
    requestKeys: [requestKey],
    ttlMs: 60_000,
    maxOpenCalls: 9,
  }
  const opened = await plain.openCall({ ...call, owner: 'first', data: 'request {}' })
  const start = 'id' in opened ? opened.id : ''

  const late: Promise<unknown>[] = []
  const node = (): JournalServices => {
    const store = unsteady(storage.forNode(), random, late)
    return { store, watcher: new Watcher(store), maxRecordBytes: 1 << 20, backlog: new Backlog() }
  }
  const nodes = [node(), node(), node()]
  const readers = nodes.map((each, index) =>
    follow(each, { scope, log, after: start, caughtUp: index === 0 }, random),
  )
  const acknowledged: CallRecord[] = []
  const own = async (services: JournalServices, name: string, id: EntryId, last: readonly CallRecord[]) => {
    const ended = new AbortController()
    const journal = new Journal(services, {
      scope,
      callId,
      id,
      close: { requestKeys: [requestKey], retainMs: 60_000 },
      abandoned: ended,
      onLost: () => undefined,
      onClosed: () => undefined,
    })
    const records = Array.from({ length: RECORDS }, (_, number) => anyRecord(name, number, random))
    const appended: Promise<unknown>[] = []
    for (const record of [...records, ...last]) {
      const noted = journal.append(record).then(() => acknowledged.push(record))
      appended.push(noted.catch(() => undefined))
      await turns(Math.floor(random() * 4))
      // Now and then it waits, as a handler does for a step.
      if (random() < 0.3) await appended.at(-1)
    }
    await Promise.all(appended)
  }

  const first = own(nodes[0]!, 'first', start, [])
  await turns(Math.floor(random() * 60))
  const claim = { from: 'first', to: 'second', data: 'claim {}' }
  const claimed = await plain.claimCall(scope, callId, claim)
  await Promise.all([first, own(nodes[1]!, 'second', claimed?.id ?? '', [RESPONSE])])

  // As each node does every few seconds: news may be lost.
  const isDone = ({ entries }: Reader) => entries.at(-1)?.data === encodeRecord(RESPONSE)
  await waitFor(() => {
    for (const { watcher } of nodes) watcher.reconcile()
    return readers.every(isDone)
  })
  for (const { tail } of readers) tail.end()
  await Promise.all(late)
  const journal = await readAll(plain, scope, log, new AbortController())
  for (const { entries } of readers) expect(shown(entries)).toEqual(shown(journal))
  for (const record of acknowledged)
    expect(journal.filter(({ data }) => data === encodeRecord(record))).toHaveLength(1)
  expect(journal.filter(({ data }) => data.startsWith('claim'))).toHaveLength(1)
}

test.each(STORES)('every reader gets what the journal holds, %s', async (kind) => {
  await Promise.all(Array.from({ length: RUNS }, (_, seed) => expectOneTruth(kind, seed + 1)))
})
