import { CallTimeline, decodeStoredBytes, describeSession } from '@mcp-durable/core/inspect'
import { expect, test } from 'vitest'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { encodeRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'
import { encodeError } from '../../src/context/error-codec.js'
import { encodeValue } from '../../src/context/codec.js'
import { digest } from '../../src/ids.js'
import { gaveUp, outcomeUnknown } from '../../src/session/recovery.js'

const CALL = 'c'.repeat(22)

/** A timeline of these records, written 10 ms after one another; a claim begins an epoch. */
function timeline(records: readonly CallRecord[]) {
  const told = new CallTimeline(CALL)
  let epoch = 1000
  let seq = 0
  let at = epoch
  const events = records.map((record) => {
    if (record.kind === 'claim') [epoch, seq] = [at, 0]
    const event = told.add({ id: `${epoch}-${++seq}`, data: encodeRecord(record), at })
    at += 10
    return event
  })
  return { told, events }
}

const request = (name = 'book'): CallRecord => ({
  kind: 'request',
  request: {
    messages: [{ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name, arguments: { secret: 1 } } }],
    batch: false,
    protocol: '2025-11-25',
    node: 'one',
  },
})
const step = (id: string, more: object): CallRecord => ({ kind: 'step', step: { id, ...more } as never })
const response: CallRecord = { kind: 'response', message: { jsonrpc: '2.0', id: 7, result: { content: [] } } }

test('runs, steps with their durations, and the end', () => {
  const { told, events } = timeline([
    request(),
    step('a', { phase: 'done', value: encodeValue({ n: 1n }), ms: 3 }),
    step('charge\n42', { phase: 'started' }),
    { kind: 'claim', claim: { node: 'two', nonce: 'n' } },
    step('charge\n42', { phase: 'failed', error: encodeError(new Error('no')), ms: 5 }),
    response,
  ])
  expect(events.map((event) => [event?.kind, event?.attempt])).toEqual([
    ['opened', 1],
    ['step-done', 1],
    ['step-started', 1],
    ['taken-over', 2],
    ['step-failed', 2],
    ['response', 2],
  ])
  expect(events[0]).toMatchObject({
    requests: [{ id: 7, title: 'tools/call book' }],
    payload: { name: 'book' },
  })
  expect(events[1]).toMatchObject({ step: { name: 'a', key: undefined }, ms: 3, payload: { n: 1n } })
  expect(events[3]).toMatchObject({ node: 'two', from: 'one' })
  expect(events[5]).toMatchObject({ outcome: 'result', ms: 50 })
  expect(told.attempts.map(({ node }) => node)).toEqual(['one', 'two'])
  expect([...told.steps.values()]).toMatchObject([
    { name: 'a', phase: 'done' },
    { name: 'charge', key: '42', phase: 'failed', ms: 5 },
  ])
  expect(told).toMatchObject({
    title: 'tools/call book',
    status: 'done',
    outcome: 'result',
    openedAt: 1000,
    endedAt: 1050,
  })
})

test('without a session: the version, and a question that is withdrawn', () => {
  const id = `${CALL}.1`
  const opened = request()
  if (opened.kind === 'request') opened.request.protocol = '2026-07-28'
  const question: CallRecord = {
    kind: 'question',
    step: 'colour',
    message: { jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: 'sure?' } },
  }
  const withdrawn: CallRecord = {
    kind: 'withdrawn',
    message: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id, reason: 'late' } },
  }
  const { told } = timeline([opened, question])
  expect(told).toMatchObject({ protocol: '2026-07-28', pendingQuestions: ['elicitation/create'] })
  const { told: later, events } = timeline([opened, question, withdrawn, response])
  expect(events.map((event) => event?.kind)).toEqual(['opened', 'question', 'withdrawn', 'response'])
  expect(events[2]).toMatchObject({ question: id, title: 'elicitation/create', payload: 'late' })
  expect(later.pendingQuestions).toEqual([])
})

test('a question waits until it is answered: in the inbox, or by the end of the step that asked', () => {
  const question = (id: string): CallRecord => ({
    kind: 'message',
    message: { jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: 'sure?' } },
  })
  const { told, events } = timeline([
    request(),
    question(`${CALL}.1`),
    question(`${CALL}.n${digest('name')}`),
    step('\ndeadline\nname', { phase: 'done', value: encodeValue(9000) }),
  ])
  expect(events.map((event) => event?.kind)).toEqual(['opened', 'question', 'question', 'deadline'])
  expect(events[3]).toMatchObject({ step: { name: 'name' }, until: 9000 })
  expect(told.pendingQuestions).toHaveLength(2)
  expect(told.addInbox({ id: '1100-0', data: '', at: 1100 })).toBeUndefined()
  const answer = { jsonrpc: '2.0', id: `${CALL}.1`, result: { action: 'accept' } } as const
  const item = encodeInboxItem({ kind: 'answer', question: answer.id, json: JSON.stringify(answer) })
  expect(told.addInbox({ id: '1100-1', data: item, at: 1110 })).toMatchObject({
    kind: 'answer',
    title: 'elicitation/create',
    refused: false,
    ms: 100,
  })
  expect(told.pendingQuestions).toHaveLength(1)
  told.add({
    id: '1000-9',
    data: encodeRecord(step('name', { phase: 'done', value: encodeValue(1) })),
    at: 1200,
  })
  expect(told.pendingQuestions).toEqual([])
})

test('cancellations, notifications, errors, and what a later version writes', () => {
  const { told, events } = timeline([
    request(),
    {
      kind: 'message',
      message: { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 2 } },
    },
    { kind: 'cancelled', reason: 'enough' },
  ])
  expect(events[1]).toMatchObject({ kind: 'notification', title: 'notifications/progress', progress: 2 })
  expect(events[2]).toMatchObject({ kind: 'cancelled', ms: 20, payload: 'enough' })
  expect(told.status).toBe('cancelled')
  const item = encodeInboxItem({ kind: 'cancelled', requestKey: 'k', reason: 'enough' })
  expect(told.addInbox({ id: '1-1', data: item, at: 1 })).toMatchObject({
    kind: 'cancel-asked',
    payload: 'enough',
  })
  const later = { id: '1-1', data: 'later {"of":"another version"}', at: 1 }
  expect(told.add(later)).toBeUndefined()
  expect(told.addInbox(later)).toBeUndefined()
  const failed = timeline([
    request(),
    { kind: 'response', message: { jsonrpc: '2.0', id: 7, error: { code: 1, message: 'x' } } },
  ])
  expect(failed.told.outcome).toBe('error')
  const interrupted = {
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params: { name: 'book' },
  } as const
  for (const message of [outcomeUnknown(interrupted, 'unserved'), gaveUp(interrupted, 5)])
    expect(timeline([request(), { kind: 'response', message }]).told.outcome).toBe('unknown')
  const bad = { kind: 'response', message: { jsonrpc: '2.0', id: 7, result: { isError: true } } } as const
  expect(timeline([request(), bad]).told.outcome).toBe('tool-error')
})

test('a session by its state', () => {
  const entry = (key: string, message: object, version = 1) => ({
    key,
    version,
    data: JSON.stringify(message),
  })
  expect(describeSession([])).toEqual({
    client: undefined,
    capabilities: [],
    initialized: false,
    logLevel: undefined,
  })
  expect(
    describeSession([
      entry('initialize', {
        id: 0,
        method: 'initialize',
        params: { clientInfo: { name: 'n', version: 3 }, capabilities: { roots: {} } },
      }),
      entry('initialized', { method: 'notifications/initialized' }),
      entry('level', { id: 1, method: 'logging/setLevel', params: { level: 'debug' } }),
      { key: 'other', version: 9, data: 'not json' },
    ]),
  ).toEqual({
    client: { name: 'n', version: '' },
    capabilities: ['roots'],
    initialized: true,
    logLevel: 'debug',
  })
})

test('bytes of a map', () => {
  expect(decodeStoredBytes(Buffer.from('héllo').toString('base64'))).toEqual(
    new Uint8Array(Buffer.from('héllo')),
  )
})

test('a call that sleeps, and one that somebody has passed on to the nodes', () => {
  const asks = { jsonrpc: '2.0', id: `${CALL}.n${digest('colour')}`, method: 'elicitation/create' } as const
  const { told, events } = timeline([
    request(),
    step('\ndeadline\nnap', { phase: 'done', value: encodeValue(5000) }),
    step('\ndeadline\ncolour', { phase: 'done', value: encodeValue(4000) }),
    { kind: 'question', message: asks },
    { kind: 'parked', parked: { node: 'one', nonce: 'n', answerBy: 9000 } },
    { kind: 'passed', passed: { node: 'three', nonce: 'n', by: 'ann', action: 'resume' } },
  ])
  expect(told.wakesAt).toBe(5000)
  expect(events.at(-1)).toMatchObject({ kind: 'passed', by: 'ann', action: 'resume' })
  const claim = encodeRecord({ kind: 'claim', claim: { node: 'two', nonce: 'n' } })
  expect(told.add({ id: '2000-1', data: claim, at: 2000 })).toMatchObject({ kind: 'continued', passed: true })
  expect(told.attempts).toHaveLength(1)
  expect(told.openedAt).toBe(1000)
  const woke = encodeRecord(step('nap', { phase: 'done', value: encodeValue(5000) }))
  told.add({ id: '2000-2', data: woke, at: 2010 })
  expect(told.wakesAt).toBeUndefined()
})
