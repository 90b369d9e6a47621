import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedisCluster } from '../../../test-support/index.js'
import type { Added } from '../src/replies.js'
import { QuietAppends } from '../src/quiet-appends.js'
import type { QuietAppend } from '../src/quiet-appends.js'
import { newCall } from './support.js'

type Sent = {
  appends: readonly QuietAppend[]
  answer: (outcomes: Added[]) => void
  fail: (error: Error) => void
}
const tick = () => new Promise<void>((resolve) => process.nextTick(resolve))
const entries = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `1-${n + 2}`, data: 'x' }))

/** A server that answers when the test says so. */
function open({ isSpread = false } = {}) {
  const sent: Sent[] = []
  const alone: string[] = []
  const appends = new QuietAppends({
    isSpread,
    together: (gathered) =>
      new Promise((answer, fail) => {
        sent.push({ appends: gathered, answer, fail })
      }),
    alone: async ({ callId }) => {
      alone.push(callId)
      return 'fenced'
    },
  })
  const append = (callId: string, count = 1, scope = 'scope') => appends.append(scope, callId, entries(count))
  const calls = () => sent.map((each) => each.appends.map(({ callId }) => callId))
  return { append, sent, calls, alone }
}

test('what comes together is sent together, and nothing waits for more', async () => {
  const { append, sent, calls } = open()
  const first = ['a', 'b'].map((callId) => append(callId))
  await Promise.resolve()
  first.push(append('c'))
  expect(sent).toHaveLength(0)
  await tick()
  const later = append('d')
  await tick()
  expect(calls()).toEqual([['a', 'b', 'c'], ['d']])
  sent[1]?.answer(['appended'])
  expect(await later).toBe('appended')
  sent[0]?.answer(['appended', 'gone', 'appended'])
  expect(await Promise.all(first)).toEqual(['appended', 'gone', 'appended'])
})

test('several entries of one journal have one outcome; one that is refused is asked why', async () => {
  const { append, sent, alone } = open()
  const all = [append('a', 2), append('b', 3), append('c')]
  await tick()
  sent[0]?.answer(['appended', 'appended', 'appended', 'refused', 'refused', 'gone'])
  expect(await Promise.all(all)).toEqual(['appended', 'fenced', 'gone'])
  expect(alone).toEqual(['b'])
})

test('no command grows without an end, and no journal is parted', async () => {
  const { append, sent } = open()
  const all = Array.from({ length: 150 }, (_, n) => append(String(n), 2))
  await tick()
  const sizes = sent.map((each) => each.appends.reduce((sum, own) => sum + own.entries.length, 0))
  expect(sizes).toEqual([128, 128, 44])
  for (const [index, { answer }] of sent.entries())
    answer(Array.from({ length: sizes[index]! }, (): Added => 'appended'))
  expect(new Set(await Promise.all(all))).toEqual(new Set(['appended']))
})

test('where scopes are on several servers, one that is away holds up nobody else', async () => {
  const { append, sent, calls } = open({ isSpread: true })
  void append('away', 1, 'one')
  const here = [append('here', 1, 'two'), append('here too', 1, 'two')]
  await tick()
  expect(calls()).toEqual([['away'], ['here', 'here too']])
  sent[1]?.answer(['appended', 'appended'])
  expect(await Promise.all(here)).toEqual(['appended', 'appended'])
})

test('who was in a command that failed hears of it, and nobody else', async () => {
  const { append, sent } = open()
  const failing = [append('a'), append('b')]
  await tick()
  const other = append('c')
  await tick()
  sent[0]?.fail(new Error('away'))
  sent[1]?.answer(['appended'])
  expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await other).toBe('appended')
})

test('behind one address there may be several slots: what is refused for that goes by scope from then on', async () => {
  await using cluster = await startRedisCluster({ masters: 1 })
  const client = new Redis(cluster.nodes[0]!.port, '127.0.0.1')
  const store = redisStore(client)
  const begin = async () => {
    const call = newCall(randomUUID(), { begins: { protocolVersion: 'label' } })
    const opening = await store.openCall(call)
    if (opening.status !== 'opened') throw new Error(opening.status)
    return { ...call, at: opening.id }
  }
  const calls = await Promise.all(Array.from({ length: 50 }, begin))
  for (const seq of [2, 3]) {
    const appended = calls.map(({ scope, callId, at }) =>
      store.appendQuietly(scope, callId, [{ id: at.replace(/1$/, String(seq)), data: 'x' }]),
    )
    expect(new Set(await Promise.all(appended))).toEqual(new Set(['appended']))
  }
  for (const { scope, callId } of calls)
    expect((await store.read(scope, `call:${callId}`, '0-0', 9))?.length).toBe(3)
  await store.close()
  client.disconnect()
})
