import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitFor } from '../test-support/index.js'
import { SessionKeys } from './support/journals.js'
import { RawSession, type JsonRpc, type RawStream } from './support/raw.js'
import { System } from './support/system.js'

// What goes over the wire between a client and two nodes, by hand.

const LATEST = '2025-11-25'
const OLDER = ['2025-06-18', '2025-03-26', '2024-11-05']

let redis: Redis
let system: System
beforeAll(async () => {
  redis = new Redis(process.env['REDIS_URL'] ?? '')
  system = await System.start({ nodes: 2, options: { maxStandaloneEvents: 3, resumeWindowMs: 2_000 } })
})
afterAll(async () => {
  await system[Symbol.asyncDispose]()
  redis.disconnect()
})

const resultOf = ({ messages }: RawStream) => messages.find(({ method }) => method === undefined)

test('[S-1] [S-12] [G-8] a session has an id of 128 random bits, and every request must name it', async () => {
  const [a, b] = system.abc
  const sessions = await Promise.all(Array.from({ length: 20 }, () => RawSession.begin(a)))
  const nameless = new RawSession('')

  for (const { id } of sessions) expect(Buffer.from(id, 'base64url')).toHaveLength(16)
  expect(new Set(sessions.map(({ id }) => id)).size).toBe(sessions.length)
  expect((await sessions[0]!.post(b, { id: 1, method: 'ping' })).status).toBe(200)
  for (const response of [await nameless.post(b, { id: 1, method: 'ping' }), await nameless.delete(b)]) {
    expect([response.status, ((await response.json()) as JsonRpc).error?.code]).toEqual([400, -32000])
  }
  expect((await nameless.get(b)).status).toBe(400)
})

test('[C-1] a call is in its journal, and its stream primed, before it runs', async () => {
  const [a] = system.abc
  const session = await RawSession.begin(a)
  const stream = await session.call(a, 'slow', { gate: 'journaled' })
  const [primed] = await stream.events.atLeast(1)
  await system.recorded('slow', 'journaled')

  const [callId, entry] = primed?.id?.split('.') ?? []
  const journal = (await new SessionKeys(redis, system.prefix, session.id).journals()).get(callId ?? '')
  expect(primed?.data).toBe('')
  expect(journal?.map(({ id, kind }) => [id, kind])).toEqual([[entry, 'request']])
  await system.openGate('journaled')
  expect(await stream.ended).toBe('graceful')
})

test.each([LATEST, ...OLDER])('[C-12] %s: priming only where clients can read it', async (version) => {
  const [a, b] = system.abc
  const session = await RawSession.begin(a, version)
  const gate = `version-${version}`
  const stream = await session.call(b, 'say', { texts: ['one', 'two'], gate })
  await waitFor(async () => (await system.ledger('at the gate', gate)).length === 1)
  await system.openGate(gate)
  expect(await stream.ended).toBe('graceful')

  const primed = stream.events.items.filter(({ data }) => data === '')
  expect(primed).toHaveLength(version === LATEST ? 1 : 0)
  expect(stream.messages).toHaveLength(3)
  // Every event has an id, and the stream resumes from it, with or without priming.
  const [first] = stream.events.items.filter(({ data }) => data !== '')
  const resumed = await session.get(a, first?.id)
  expect(await resumed.ended).toBe('graceful')
  expect(resumed.messages).toEqual(stream.messages.slice(1))
})

test('[C-20] ids 0, empty, strings and numbers, all at once on both nodes, and cancelled from the other', async () => {
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  const ids = [0, '', '0', 1, '1', -7, 'ünïcode', Number.MAX_SAFE_INTEGER, 'x'.repeat(1_000)]

  const streams = await Promise.all(
    ids.map((id, index) => session.call(index % 2 === 0 ? a : b, 'add', { a: index, b: 0 }, id)),
  )
  await Promise.all(streams.map(({ ended }) => ended))
  expect(streams.map((stream) => resultOf(stream)?.id)).toEqual(ids)
  for (const [index, stream] of streams.entries()) {
    expect(resultOf(stream)?.result).toMatchObject({ content: [{ text: String(index) }, {}] })
  }

  const hanging = await Promise.all(
    ids.map((id, index) => session.call(a, 'hang', { name: `id ${index}` }, id)),
  )
  for (const [index, id] of ids.entries()) {
    await system.recorded('hanging', `id ${index}`)
    await session.post(b, { method: 'notifications/cancelled', params: { requestId: id } })
    await system.recorded('aborted', `id ${index}`)
    expect(await hanging[index]!.ended).toBe('graceful')
  }
})

test('[C-9] [C-10] trimmed standalone events: an error, no silent gap', async () => {
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  const stream = await session.get(a)
  await (
    await session.call(b, 'announce', { text: 'seen' })
  ).ended
  const [, seen] = await stream.events.atLeast(2)
  stream.close()
  for (const text of ['two', 'three', 'four', 'five'])
    await (
      await session.call(b, 'announce', { text })
    ).ended

  expect((await session.get(b, seen?.id)).status).toBe(410)
  const fresh = await session.get(b)
  await fresh.events.first(({ data }) => data.includes('five'))
  expect(fresh.messages).toHaveLength(3)
  fresh.close()
})

test('[X-13] what was delivered does not wait for the next GET, what was not does', async () => {
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  const keys = new SessionKeys(redis, system.prefix, session.id)
  const first = await session.get(a)
  await (
    await session.call(b, 'announce', { text: 'delivered' })
  ).ended
  const [, { id }] = (await first.events.atLeast(2)) as [unknown, { id: string }]
  await waitFor(async () => `out.${await keys.delivered()}` === id)
  first.close()
  await session.heardBy(a)
  await (
    await session.call(b, 'announce', { text: 'waiting' })
  ).ended

  const second = await session.get(b)
  await second.events.first(({ data }) => data.includes('waiting'))

  expect(second.messages).toHaveLength(1)
  second.close()
})

test('[C-9] [C-10] the events of a call are kept for resumeWindowMs, then an error', async () => {
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  const stream = await session.call(a, 'say', { texts: ['one'] })
  await stream.ended
  const [cursor] = stream.ids

  const resumed = await session.get(b, cursor)
  expect(resumed.status).toBe(200)
  await resumed.ended
  expect(resumed.messages).toHaveLength(2)
  await waitFor(async () => (await session.get(b, cursor)).status === 410, { what: 'the end of the window' })
})
