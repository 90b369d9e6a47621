import { expect, test } from 'vitest'
import { QuietAppends } from '../../src/call/quiet-appends.js'
import type { QuietEntry, QuietlyAppended } from '../../src/index.js'

type Sent = {
  entries: readonly QuietEntry[]
  answer: (outcomes: QuietlyAppended[]) => void
  fail: (error: Error) => void
}
const tick = () => new Promise<void>((resolve) => process.nextTick(resolve))
const entry = (callId: string, id = '1-2'): QuietEntry => ({ scope: 'scope', callId, id, data: callId })

/** Appends to a store that answers when the test says so. */
function open() {
  const sent: Sent[] = []
  const appends = new QuietAppends({
    appendQuietly: (entries) =>
      new Promise((answer, fail) => {
        sent.push({ entries, answer, fail })
      }),
  })
  const append = (...entries: QuietEntry[]) =>
    new Promise<QuietlyAppended>((resolve, reject) => appends.append(entries, { resolve, reject }))
  return { appends, append, sent }
}

test('what comes together is sent together, and nothing waits for more', async () => {
  const { append, sent } = open()
  const first = ['a', 'b'].map((callId) => append(entry(callId)))
  await Promise.resolve()
  first.push(append(entry('c')))
  expect(sent).toHaveLength(0)
  await tick()
  const later = append(entry('d'))
  await tick()
  expect(sent.map(({ entries }) => entries.map(({ callId }) => callId))).toEqual([['a', 'b', 'c'], ['d']])
  sent[1]?.answer(['appended'])
  expect(await later).toBe('appended')
  sent[0]?.answer(['appended', 'fenced', 'gone'])
  expect(await Promise.all(first)).toEqual(['appended', 'fenced', 'gone'])
})

test('several entries of one journal have one outcome: what the first came to that was not appended', async () => {
  const { append, sent } = open()
  const all = [
    append(entry('a', '1-2'), entry('a', '1-3')),
    append(entry('b', '1-2'), entry('b', '1-3'), entry('b', '1-4')),
    append(entry('c')),
  ]
  await tick()
  sent[0]?.answer(['appended', 'appended', 'appended', 'fenced', 'gone', 'appended'])
  expect(await Promise.all(all)).toEqual(['appended', 'fenced', 'appended'])
})

test('no operation grows without an end', async () => {
  const { append, sent } = open()
  const all = Array.from({ length: 300 }, (_, n) => append(entry(String(n))))
  await tick()
  expect(sent.map(({ entries }) => entries.length)).toEqual([128, 128, 44])
  for (const { entries, answer } of sent) answer(entries.map(() => 'appended'))
  expect(new Set(await Promise.all(all))).toEqual(new Set(['appended']))
})

test('where scopes are on several servers, one that is away holds up nobody else', async () => {
  const appends = new QuietAppends({
    isSpread: () => true,
    appendQuietly: (entries) =>
      entries.some(({ callId }) => callId === 'away')
        ? new Promise(() => undefined)
        : Promise.resolve(entries.map(() => 'appended' as const)),
  })
  const append = (callId: string) =>
    new Promise((resolve, reject) => appends.append([entry(callId)], { resolve, reject }))
  void append('away')
  expect(await append('here')).toBe('appended')
})

test('who was in an operation that failed hears of it, and nobody else', async () => {
  const { append, sent } = open()
  const failing = [append(entry('a')), append(entry('b'))]
  await tick()
  const other = append(entry('c'))
  await tick()
  sent[0]?.fail(new Error('away'))
  sent[1]?.answer(['appended'])
  expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await other).toBe('appended')
})

test('a store that throws at once holds up nobody', async () => {
  let mood: 'bad' | 'good' = 'bad'
  const appends = new QuietAppends({
    appendQuietly: (entries) => {
      if (mood === 'bad') throw new Error('a mistake')
      return Promise.resolve(entries.map(() => 'appended' as const))
    },
  })
  const append = () => new Promise((resolve, reject) => appends.append([entry('a')], { resolve, reject }))
  await expect(append()).rejects.toThrow('a mistake')
  mood = 'good'
  expect(await append()).toBe('appended')
})
