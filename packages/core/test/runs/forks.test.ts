import { describe, expect, test } from 'vitest'
import { encodeRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'
import { deadlineOf, intentOf } from '../../src/context/call-log.js'
import { encodeValue } from '../../src/context/codec.js'
import { digest, randomId } from '../../src/ids.js'
import { memoryStore } from '../../src/index.js'
import { runsOf } from '../../src/runs/index.js'
import type { CallPlace, StepOfRun } from '../../src/runs/index.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'

// Which journals a fork may go on from, and what it takes of them. No node is there: nothing is run.

type Step = Extract<CallRecord, { kind: 'step' }>['step']
const step = (record: Step): CallRecord => ({ kind: 'step', step: record })
const done = (id: string, kind: Step['kind'] = 'body') =>
  step({ id, kind, phase: 'done', value: encodeValue(1) })
const begun = (id: string) => step({ id, kind: 'body', phase: 'started' })
const until = (id: string) => step({ id: deadlineOf(id), phase: 'done', value: encodeValue(1) })
const asked = (id: string): CallRecord => ({
  kind: 'question',
  message: { jsonrpc: '2.0', id, method: 'elicitation/create' },
})
const END: CallRecord = { kind: 'response', message: { jsonrpc: '2.0', id: 1, result: { isError: true } } }

/** A call of a durable tool that has ended, with these records. */
async function ended(store: Store, records: (callId: string) => (CallRecord | string)[]): Promise<CallPlace> {
  const callId = randomId()
  const request: CallRecord = {
    kind: 'request',
    request: {
      messages: [{ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'book' } }],
      batch: false,
      protocol: '2026-07-28',
      node: 'one',
      handlers: ['durable'],
    },
  }
  const opened = await store.openCall({
    scope: callId,
    callId,
    owner: 'one',
    principal: 'ann',
    requestKeys: ['1'],
    data: encodeRecord(request),
    ttlMs: 60_000,
    maxOpenCalls: 9,
    begins: { protocolVersion: '2026-07-28' },
  })
  if (opened.status !== 'opened') throw new Error(opened.status)
  const entries = [...records(callId), END].map((record, index) => ({
    id: `${Number.parseInt(opened.id, 10)}-${index + 2}`,
    data: typeof record === 'string' ? record : encodeRecord(record),
  }))
  const close = { requestKeys: ['1'], retainMs: 60_000, endsScope: true }
  expect(await store.appendCall(callId, callId, entries, close)).toBe('appended')
  return { scope: callId, callId }
}

/** The records behind the request that a fork begins with, or why there is none. */
async function fork(records: (callId: string) => CallRecord[], from: StepOfRun, repeat = false) {
  await using store = Object.assign(memoryStore(), {
    [Symbol.asyncDispose]: async () => undefined,
  })
  const old = await ended(store, records)
  try {
    const { call } = await runsOf(store, { by: 'ann' }).fork(old, { from, repeat })
    const journal = (await store.read(call.scope, `call:${call.callId}`, BEGINNING, 99)) ?? []
    expect((await store.readSession(call.scope))?.principal).toBe('ann')
    return journal.slice(1).map(({ data }) => data)
  } catch (error) {
    return (error as Error).message
  }
}
const taken = (...records: CallRecord[]) => [...records.map(encodeRecord), expect.stringMatching(/^passed /)]

describe('a fork takes the steps of the journal', () => {
  test('as they stood before its step, in their order, whatever else was said', async () => {
    const before = [done('b'), done('a'), begun('pay'), done('pay'), done('n', 'now')]
    const progress: CallRecord = {
      kind: 'message',
      message: { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } },
    }
    const claim: CallRecord = { kind: 'claim', claim: { node: 'two', nonce: 'n' } }
    const records = () => [before[0]!, progress, ...before.slice(1, 3), claim, ...before.slice(3), done('c')]
    expect(await fork(records, { name: 'c' })).toEqual(taken(...before))
    expect(await fork(records, { name: 'b' }, true)).toEqual(taken())
  })

  test('with the answer to a question of a step, and from the question', async () => {
    const records = (callId: string) => [
      done('a'),
      until('colour'),
      asked(`${callId}.n${digest('colour')}`),
      done('colour', 'elicit'),
      done('b'),
    ]
    expect(await fork(records, { name: 'b' })).toEqual(
      taken(done('a'), until('colour'), done('colour', 'elicit')),
    )
    expect(await fork(records, { name: 'colour' })).toEqual(taken(done('a')))
  })

  test('from a question that was never answered, which has no record of a step', async () => {
    const records = (callId: string) => [done('a'), asked(`${callId}.n${digest('colour')}`)]
    expect(await fork(records, { name: 'colour' })).toEqual(taken(done('a')))
  })

  test('by the key, where several have a name', async () => {
    const records = () => [done('item\n1'), done('item\n2'), done('one\n7')]
    expect(await fork(records, { name: 'item', key: '2' })).toEqual(taken(done('item\n1')))
    expect(await fork(records, { name: 'one' })).toEqual(taken(done('item\n1'), done('item\n2')))
    expect(await fork(records, { name: 'item' })).toContain("there are 2 steps 'item'")
    expect(await fork(records, { name: 'item', key: '3' })).toContain("there are 2 steps 'item'")
  })
})

describe('a fork is refused', () => {
  const NOT_ENDED = 'before it these had begun and not ended'

  test.each([
    ['a body that runs at most once', [begun('pay')], 'pay'],
    [
      'what it was about to do in a state',
      [step({ id: intentOf('state'), phase: 'done', value: '1' })],
      'state',
    ],
    ['a sleep', [until('nap')], 'nap'],
    [
      'one that may be tried again',
      [begun('pay'), step({ id: 'pay', kind: 'body', phase: 'cleared' })],
      'pay',
    ],
  ])('behind %s that has not ended', async (_what, open, name) => {
    expect(await fork(() => [done('a'), ...open, done('b')], { name: 'b' }, true)).toContain(
      `${NOT_ENDED}: ${name}.`,
    )
  })

  test('behind a question that no step has asked, or that has no answer', async () => {
    const plain = (callId: string) => [done('a'), asked(`${callId}.1`), done('b')]
    expect(await fork(plain, { name: 'b' })).toContain('asked its client by no step')
    expect(await fork(plain, { name: 'a' })).toEqual(taken())
    const open = (callId: string) => [asked(`${callId}.n${digest('colour')}`), done('b')]
    expect(await fork(open, { name: 'b' })).toContain('asked its client by no step')
  })

  test('unless told, where a state was changed from there on, or an older version wrote no kind', async () => {
    const state = () => [done('a'), done('state x', 'state'), done('b')]
    expect(await fork(state, { name: 'a' })).toContain('would have their effect again: state x.')
    expect(await fork(state, { name: 'b' })).toEqual(taken(done('a'), done('state x', 'state')))
    const older = () => [
      done('a'),
      step({ id: 'pay', phase: 'started' }),
      step({ id: 'pay', phase: 'done', value: '1' }),
    ]
    expect(await fork(older, { name: 'pay' })).toContain('would have their effect again: pay.')
    expect(await fork(older, { name: 'pay' }, true)).toEqual(taken(done('a')))
  })

  test('of what a newer version has run', async () => {
    await using store = Object.assign(memoryStore(), { [Symbol.asyncDispose]: async () => undefined })
    const old = await ended(store, () => ['later {}', done('a')])
    const error: unknown = await runsOf(store, { by: 'ann' })
      .fork(old, { from: { name: 'a' } })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'run-foreign' })
  })
})

test('of a batch what one of its requests sleeps is ended, too', async () => {
  const store = memoryStore()
  const [scope, callId] = [randomId(), randomId()]
  const call = (id: number) => ({
    jsonrpc: '2.0' as const,
    id,
    method: 'tools/call',
    params: { name: 'nap' },
  })
  const request: CallRecord = {
    kind: 'request',
    request: { messages: [call(1), call(2)], batch: true, protocol: '2025-03-26', node: 'one' },
  }
  const opened = await store.openCall({
    scope,
    callId,
    owner: 'one',
    principal: 'ann',
    requestKeys: ['1', '2'],
    data: encodeRecord(request),
    ttlMs: 60_000,
    maxOpenCalls: 9,
    begins: { protocolVersion: '2025-03-26' },
  })
  if (opened.status !== 'opened') throw new Error(opened.status)
  const [epoch] = opened.id.split('-')
  const sleeps: CallRecord = {
    kind: 'step',
    step: { id: `1/${deadlineOf('nap')}`, phase: 'done', value: encodeValue(1) },
  }
  await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: encodeRecord(sleeps) }])
  await runsOf(store, { by: 'ann' }).resume({ scope, callId })
  const [left] = (await store.read(scope, `call:${callId}:in`, BEGINNING, 9)) ?? []
  expect(left?.data).toContain('"steps":["1/nap"]')
  await store.close()
})
