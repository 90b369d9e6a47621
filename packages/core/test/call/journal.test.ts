import { describe, expect, test } from 'vitest'
import { Journal, JournalClosedError, JournalLostError } from '../../src/call/journal.js'
import type { CallRecord } from '../../src/call/record.js'
import { Backlog } from '../../src/call/waiting-records.js'
import { BacklogError, StoreError } from '../../src/error-classes.js'
import type { CloseCall, Entry } from '../../src/store/index.js'
import type { Store } from '../../src/index.js'
import { Watcher } from '../../src/store/watcher.js'
import type { Signal } from '../../src/store/watcher.js'
import { waitFor } from '../../../../test-support/index.js'

type Outcome = Awaited<ReturnType<Store['appendCall']>>
type Append = {
  entries: readonly Entry[]
  close: CloseCall | undefined
  effect: unknown
  answer: (outcome: Outcome | Error) => void
}

const CLOSE = { requestKeys: ['key'], retainMs: 1000 }
const message = (n: number): CallRecord => ({ kind: 'message', message: { jsonrpc: '2.0', method: `m${n}` } })
const step: CallRecord = { kind: 'step', step: { id: 's', phase: 'done', value: '' } }
const response: CallRecord = { kind: 'response', message: { jsonrpc: '2.0', id: 1, result: {} } }
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A journal on a store that answers each append when the test says so. */
function open(backlog = new Backlog()) {
  const appends: Append[] = []
  const store = {
    appendCall: (_scope, _callId, entries, close, effect) =>
      new Promise((resolve, reject) => {
        const answer = (outcome: Outcome | Error) =>
          outcome instanceof Error ? reject(outcome) : resolve(outcome)
        appends.push({ entries, close, effect, answer })
      }),
    appendQuietly: (_scope, _callId, entries) =>
      new Promise((resolve, reject) => {
        const answer = (outcome: Outcome | Error) =>
          outcome instanceof Error ? reject(outcome) : resolve(outcome as 'appended')
        appends.push({ entries, close: undefined, effect: undefined, answer })
      }),
    watch: async () => () => undefined,
  } as Partial<Store> as Store
  const watcher = new Watcher(store)
  const heard: Signal[] = []
  watcher.watch('scope', 'call:call', (signal) => void heard.push(signal))
  const abandoned = new AbortController()
  const told: string[] = []
  const at = {
    scope: 'scope',
    callId: 'call',
    id: '7-1',
    close: CLOSE,
    abandoned,
    onLost: () => void told.push('lost'),
    onClosed: () => void told.push('closed'),
  }
  const journal = new Journal({ store, watcher, maxRecordBytes: 1 << 20, backlog }, at)
  const acknowledged: number[] = []
  const append = (n: number) => {
    const appended = journal.append(message(n))
    appended.then(
      () => acknowledged.push(n),
      () => undefined,
    )
    return appended
  }
  return { appends, journal, append, acknowledged, heard, told, abandoned }
}

const idsOf = ({ entries }: Append) => entries.map(({ id }) => id)

describe('a journal', () => {
  test('acknowledges nothing before the store has, and everything in order', async () => {
    const { appends, append, acknowledged } = open()
    for (const n of [1, 2, 3]) void append(n)
    await turn()
    expect(acknowledged).toEqual([])
    expect(appends.map(idsOf)).toEqual([['7-2']])
    appends[0]?.answer('appended')
    await turn()
    expect(acknowledged).toEqual([1])
    appends[1]?.answer('appended')
    await turn()
    expect(acknowledged).toEqual([1, 2, 3])
  })

  test('what is posted need not be waited for, as long as little is', async () => {
    const { appends, journal } = open()
    const posted: number[] = []
    const post = (n: number, text = '') => {
      const said: CallRecord = { kind: 'message', message: { jsonrpc: '2.0', method: `m${n}${text}` } }
      return journal.post(said).then(() => posted.push(n))
    }
    for (let n = 1; n <= 50; n++) void post(n)
    void post(51, 'x'.repeat(100_000))
    await turn()
    expect(posted).toHaveLength(33)
    appends[0]?.answer('appended')
    await turn()
    expect(appends.map(({ entries }) => entries.length)).toEqual([1, 50])
    expect(posted).toHaveLength(33)
    appends[1]?.answer('appended')
    await turn()
    expect(posted).toEqual(Array.from({ length: 51 }, (_, n) => n + 1))
  })

  test('a loss is told at the next post, and harms nobody who did not wait', async () => {
    const { appends, journal, told } = open()
    await journal.post(message(1))
    appends[0]?.answer('fenced')
    await turn()
    expect(told).toEqual(['lost'])
    await expect(journal.post(message(2))).rejects.toThrow(JournalLostError)
  })

  test('writes together what was asked for while an append was under way', async () => {
    const { appends, append, heard } = open()
    for (let n = 1; n <= 50; n++) void append(n)
    appends[0]?.answer('appended')
    await turn()
    expect(appends).toHaveLength(2)
    expect(appends[1]?.entries).toHaveLength(49)
    appends[1]?.answer('appended')
    await turn()
    expect(heard.map(({ appended }) => [appended?.previous, appended?.entries.length])).toEqual([
      ['7-1', 1],
      ['7-2', 49],
    ])
  })

  test('closes the call with its terminal record, and takes nothing after it', async () => {
    const { appends, append, journal } = open()
    void append(1)
    const last = journal.append(response)
    expect(journal.open).toBe(false)
    await expect(append(2)).rejects.toThrow(JournalClosedError)
    appends[0]?.answer('appended')
    await turn()
    expect(appends.map(({ close }) => close)).toEqual([undefined, CLOSE])
    appends[1]?.answer('appended')
    await last
    await expect(append(3)).rejects.toThrow(JournalClosedError)
    expect(appends).toHaveLength(2)
  })

  test.each(['fenced', 'gone'] as const)(
    '%s: what waits is refused and nothing more is written',
    async (outcome) => {
      const { appends, append, journal, heard } = open()
      const [one, two, three] = [append(1), append(2), append(3)]
      appends[0]?.answer('appended')
      await one
      appends[1]?.answer(outcome)
      for (const lost of [two, three]) await expect(lost).rejects.toThrow(JournalLostError)
      expect(journal.open).toBe(false)
      await expect(append(4)).rejects.toMatchObject({ reason: outcome })
      expect(appends).toHaveLength(2)
      expect(heard).toHaveLength(1)
    },
  )

  test('what is quiet passes its readers by, and leaves no gap for them', async () => {
    const { appends, append, journal, heard } = open()
    for (const record of [step, step]) void journal.append(record)
    void append(1)
    while (appends.length < 2) {
      appends.at(-1)?.answer('appended')
      await turn()
    }
    appends.at(-1)?.answer('appended')
    await turn()
    expect(appends.map(idsOf)).toEqual([['7-2'], ['7-3', '7-4']])
    expect(heard.map(({ appended }) => [appended?.previous, appended?.entries.map(({ id }) => id)])).toEqual([
      ['7-1', ['7-4']],
    ])
  })

  test('its owner is told of the end', async () => {
    const { appends, append, journal, told } = open()
    void append(1)
    void journal.append(step)
    const last = journal.append(response)
    expect(told).toEqual([])
    appends[0]?.answer('appended')
    await turn()
    appends[1]?.answer('appended')
    await last
    expect(told).toEqual(['closed'])
  })

  test('its owner is told when it is lost, also that it will not end', async () => {
    const { appends, journal, told } = open()
    const ended = Promise.allSettled([journal.append(step), journal.append(response)])
    await turn()
    appends[0]?.answer('fenced')
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(told).toEqual(['lost', 'closed'])
  })

  test('while the store is away the same append is repeated, until it is back', async () => {
    const { appends, append, acknowledged } = open()
    for (const n of [1, 2]) void append(n)
    for (const code of ['store-unavailable', 'store-timeout', 'store-failed'] as const) {
      appends.at(-1)?.answer(new StoreError(code, 'away'))
      const sent = appends.length
      await waitFor(() => appends.length > sent)
    }
    expect(appends.map(idsOf)).toEqual([['7-2'], ['7-2'], ['7-2'], ['7-2']])
    expect(acknowledged).toEqual([])
    appends.at(-1)?.answer('appended')
    await turn()
    appends.at(-1)?.answer('appended')
    await turn()
    expect(acknowledged).toEqual([1, 2])
  })

  test('abandoned: what is not acknowledged fails, and nothing more is written', async () => {
    const { appends, append, abandoned, journal } = open()
    const [one, two] = [append(1), append(2)]
    abandoned.abort()
    appends[0]?.answer(new StoreError('store-unavailable', 'away'))
    for (const failed of [one, two]) await expect(failed).rejects.toThrow(StoreError)
    expect(journal.open).toBe(false)
    expect(appends).toHaveLength(1)
  })

  test('abandoned while it waits for the next try', async () => {
    const { appends, append, abandoned } = open()
    const one = append(1)
    appends[0]?.answer(new StoreError('store-unavailable', 'away'))
    await turn()
    abandoned.abort()
    await waitFor(() => appends.length === 2)
    appends[1]?.answer(new StoreError('store-unavailable', 'away'))
    await expect(one).rejects.toThrow(StoreError)
  })

  test('a failure that is none of the store’s is not repeated', async () => {
    const { appends, append, journal } = open()
    const one = append(1)
    appends[0]?.answer(new TypeError('a mistake'))
    await expect(one).rejects.toThrow(TypeError)
    expect([appends.length, journal.open]).toEqual([1, false])
  })
})

describe('records with an effect', () => {
  const effect = { key: 'k', expected: 0, data: 'x' }

  test('go alone, and a conflict is told without harm to the others', async () => {
    const { appends, append, journal, heard, acknowledged } = open()
    void append(1)
    void append(2)
    const conflicting = new Promise((resolve, reject) =>
      journal.write(message(3), { resolve, reject }, effect),
    )
    void append(4)
    void append(5)
    for (const outcome of ['appended', 'appended', 'conflict', 'appended'] as const) {
      appends.at(-1)?.answer(outcome)
      await turn()
    }
    expect(await conflicting).toBe('conflict')
    expect(appends.map(idsOf)).toEqual([['7-2'], ['7-3'], ['7-4'], ['7-5', '7-6']])
    expect(appends.map(({ effect: sent }) => sent)).toEqual([undefined, undefined, effect, undefined])
    expect(acknowledged).toEqual([1, 2, 4, 5])
    // Readers here stand at the last record that is in the journal.
    expect(heard.map(({ appended }) => appended?.previous)).toEqual(['7-1', '7-2', '7-3'])
  })
})

describe('what is said and nobody waits for, while the store takes nothing', () => {
  const said = (size: number): CallRecord => ({
    kind: 'message',
    message: { jsonrpc: '2.0', method: 'm', params: { filler: 'x'.repeat(size) } },
  })

  test('is refused past twice the largest record; the call goes on when the store has taken some', async () => {
    const backlog = new Backlog()
    const { appends, journal } = open(backlog)
    const outcomes: string[] = []
    const posts = Array.from({ length: 100 }, async () =>
      journal.post(said(100_000)).then(
        () => outcomes.push('said'),
        (error: Error) => outcomes.push(error.name),
      ),
    )
    await turn()
    const refused = outcomes.length
    expect(new Set(outcomes)).toEqual(new Set([BacklogError.name]))
    expect(refused).toBeGreaterThan(70)
    expect(backlog.chars).toBeLessThan(3 << 20)
    const answering = setInterval(() => appends.at(-1)?.answer('appended'), 1)
    await Promise.all([...posts, journal.append(response)])
    clearInterval(answering)
    expect(outcomes.slice(refused)).toEqual(Array.from({ length: 100 - refused }, () => 'said'))
    expect(backlog.chars).toBe(0)
  })

  test('is refused past 256 MiB of a node, but to those that wait for what they say', async () => {
    const backlog = new Backlog()
    backlog.chars = 256 << 20
    const { appends, journal } = open(backlog)
    for (let n = 0; n < 33; n++) await journal.post(said(10))
    const waits = journal.post(said(10))
    await expect(journal.post(said(10))).rejects.toThrow(BacklogError)
    appends[0]?.answer('appended')
    await turn()
    appends[1]?.answer('appended')
    await waits
    await journal.post(said(10))
    expect(appends).toHaveLength(3)
    expect(backlog.chars).toBe(256 << 20)
  })
})
