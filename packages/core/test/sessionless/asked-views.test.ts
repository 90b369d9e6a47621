import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { encodeRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'
import { AskedViews } from '../../src/http/sessionless/asked-views.js'
import { AskedView, readAsked } from '../../src/http/sessionless/asked.js'
import { memoryStore } from '../../src/index.js'
import { overriding } from '../support/overriding.js'

const MINUTE = 60_000

/** A task whose journal a test writes, and how many entries were read of it. */
async function startTask() {
  const memory = memoryStore()
  const place = { scope: randomUUID(), callId: randomUUID() }
  const { scope, callId } = place
  const request = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'work' } } as const
  const task = { afterMs: 0, ttlMs: MINUTE }
  const recorded = { messages: [request], batch: false, protocol: '2026-07-28', node: 'node', task }
  const opened = await memory.openCall({
    scope,
    callId,
    owner: 'node',
    principal: undefined,
    requestKeys: [],
    data: encodeRecord({ kind: 'request', request: recorded }),
    ttlMs: MINUTE,
    maxOpenCalls: 1,
    begins: { protocolVersion: '2026-07-28' },
  })
  if (opened.status !== 'opened') throw new Error(opened.status)
  const [time = ''] = opened.id.split('-')
  let entries = 0
  let seq = Number(opened.id.split('-')[1])
  const store = overriding(memory, {
    read: async (...args) => {
      const page = await memory.read(...args)
      entries += page?.length ?? 0
      return page
    },
  })
  const write = (...records: CallRecord[]) => {
    const batch = records.map((record) => ({ id: `${time}-${++seq}` as const, data: encodeRecord(record) }))
    return memory.appendCall(scope, callId, batch)
  }
  const progress = (value: number): CallRecord => {
    const params = { progressToken: 1, progress: value, message: `${value} of many` }
    return { kind: 'message', message: { jsonrpc: '2.0', method: 'notifications/progress', params } }
  }
  const ask = (id: string): CallRecord => {
    const message = { jsonrpc: '2.0', id, method: 'elicitation/create', params: {} } as const
    return { kind: 'question', message, step: id }
  }
  const answer = (question: string) =>
    memory.append(scope, `call:${callId}:in`, encodeInboxItem({ kind: 'answer', question, json: '{}' }), {
      nonce: randomUUID(),
      maxLength: 100,
    })
  const readSince = () => {
    const read = entries
    entries = 0
    return read
  }
  return { memory, store, place, write, progress, ask, answer, readSince }
}

test('each look at a task reads only what has come since, and sees what a look at all of it does', async () => {
  const { store, place, write, progress, ask, answer, readSince } = await startTask()
  const views = new AskedViews(store)
  for (let i = 0; i < 10; i++) await write(...Array.from({ length: 100 }, (_, n) => progress(100 * i + n)))
  expect((await views.look(place)).progress).toMatchObject({ message: '999 of many' })
  expect(readSince()).toBe(1001)
  await write(progress(1000), ask('colour'), ask('size'))
  await answer('colour')
  await views.look(place)
  expect(readSince()).toBe(4)
  expect(await views.look(place)).toEqual(await readAsked(store, place))
  const { questions, closed } = await views.look(place)
  expect([...questions.keys()]).toEqual(['colour', 'size'])
  expect([...closed]).toEqual(['colour'])
  await write({ kind: 'response', message: { jsonrpc: '2.0', id: 1, result: {} } })
  expect((await views.look(place)).end).toMatchObject({ result: {} })
})

test('looks at once each see all that was there when they began', async () => {
  const { store, place, write, progress } = await startTask()
  const views = new AskedViews(store)
  await views.look(place)
  await write(progress(1), progress(2))
  const looks = await Promise.all([views.look(place), views.look(place), views.look(place)])
  for (const asked of looks) expect(asked.progress).toMatchObject({ progress: 2 })
})

test('what whoever looks does with what it is told stays its own', async () => {
  const { store, place, write, ask } = await startTask()
  const views = new AskedViews(store)
  await write(ask('colour'))
  const asked = await views.look(place)
  asked.closed.add('colour')
  expect((await views.look(place)).closed.size).toBe(0)
})

test('progress counts once in what is kept', async () => {
  const { store, place, write, progress } = await startTask()
  const view = new AskedView(store, place)
  await view.look()
  const { size } = view
  for (let i = 100; i < 200; i++) await write(progress(i))
  await view.look()
  expect(view.size - size).toBe(encodeRecord(progress(199)).length)
})

test('a task that is deleted is not seen any more', async () => {
  const { memory, store, place } = await startTask()
  const views = new AskedViews(store)
  expect((await views.look(place)).first).toBeDefined()
  await memory.deleteSession(place.scope, undefined)
  expect((await views.look(place)).first).toBeUndefined()
})

test('a task that nobody asks for any more is forgotten', async () => {
  const { store, place, write, progress, readSince } = await startTask()
  let now = 0
  const views = new AskedViews(store, () => now)
  await write(progress(1))
  await views.look(place)
  now += MINUTE
  await views.look(place)
  readSince()
  now += MINUTE + 1
  await views.look({ scope: randomUUID(), callId: randomUUID() })
  expect((await views.look(place)).progress).toMatchObject({ progress: 1 })
  expect(readSince()).toBe(2)
})
