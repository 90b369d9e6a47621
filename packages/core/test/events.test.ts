import { createParser } from 'eventsource-parser'
import type { EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeRecord } from '../src/call/record.js'
import { encodeEvent, eventId, KEEP_ALIVE, parseEventId, primingEvent } from '../src/http/events.js'
import { randomId } from '../src/ids.js'
import type { JsonRpcNotification } from '../src/json-rpc.js'
import type { LogName } from '../src/store/index.js'

const entry = fc.tuple(fc.nat(), fc.nat()).map(([time, seq]) => `${time}-${seq}`)
const logName: fc.Arbitrary<LogName> = fc.oneof(
  fc.constant('out' as const),
  fc.constant(null).map(() => `call:${randomId()}` as const),
)

function parsed(text: string) {
  const events: EventSourceMessage[] = []
  const comments: string[] = []
  let retry: number | undefined
  const parser = createParser({
    onEvent: (event) => void events.push(event),
    onComment: (comment) => void comments.push(comment),
    onRetry: (ms) => (retry = ms),
  })
  parser.feed(text)
  return { events, comments, retry }
}

describe('ids of events', () => {
  test('name a log and an entry, and are read back', () => {
    fc.assert(
      fc.property(logName, entry, fc.boolean(), (log, after, last) => {
        const end = last && log !== 'out'
        expect(parseEventId(eventId(log, after, end))).toEqual({ log, after, end })
      }),
    )
  })

  test('anything else is none', () => {
    const call = randomId()
    const none = [
      '',
      '.',
      'out',
      'out.',
      'out.1',
      'out.1-',
      'out.-1',
      'out.1-1.end',
      'out.1-1.x',
      'OUT.1-1',
      'in.1-1',
    ]
    const more = [
      call,
      `${call}.`,
      `${call}.1-1.`,
      `${call}.1-1.END`,
      `${call}.1-1.end.`,
      `${call}x.1-1`,
      ` ${call}.1-1`,
    ]
    const odd = [
      `out.1-1\n`,
      `out.１-1`,
      `out.1-${'9'.repeat(17)}`,
      'call:x.1-1',
      `${call}:in.1-1`,
      `../${call}.1-1`,
    ]
    for (const id of [...none, ...more, ...odd]) expect(parseEventId(id), id).toBeUndefined()
    fc.assert(
      fc.property(
        fc.string(),
        (text) => parseEventId(text) === undefined || /^[\w-]+\.\d+-\d+(\.end)?$/.test(text),
      ),
    )
  })
})

describe('events', () => {
  test('any message is one event, and comes out as it went in', () => {
    fc.assert(
      fc.property(entry, fc.string({ unit: 'binary' }), fc.json(), fc.boolean(), (id, method, json, out) => {
        const message: JsonRpcNotification = {
          jsonrpc: '2.0',
          method,
          params: { value: JSON.parse(json) as unknown },
        }
        const log = out ? ('out' as const) : (`call:${randomId()}` as const)
        const data = out ? JSON.stringify(message) : encodeRecord({ kind: 'message', message })
        const { event, last } = encodeEvent(log, { id, data })
        const { events } = parsed(event ?? '')
        expect(last).toBe(false)
        expect(events).toHaveLength(1)
        expect(events[0]).toMatchObject({ event: 'message', id: eventId(log, id) })
        expect(events[0]?.data).toBe(JSON.stringify(message))
      }),
    )
  })

  test('a response is the last one, a cancellation ends without one, and the rest is not shown', () => {
    const log = `call:${randomId()}` as const
    const response = encodeRecord({ kind: 'response', message: { jsonrpc: '2.0', id: 1, result: {} } })
    expect(encodeEvent(log, { id: '1-2', data: response })).toMatchObject({ last: true })
    expect(encodeEvent(log, { id: '1-2', data: response }).event).toContain('.1-2.end\n')
    const cancelled = encodeRecord({ kind: 'cancelled', reason: 'enough' })
    expect(encodeEvent(log, { id: '1-2', data: cancelled })).toEqual({ event: undefined, last: true })
    const request = { messages: [], batch: false, protocol: '', node: 'n' }
    const hidden = encodeRecord({ kind: 'request', request })
    expect(encodeEvent(log, { id: '1-1', data: hidden })).toEqual({ event: undefined, last: false })
  })

  test('a priming event has an id, a retry and empty data', () => {
    const { events, retry } = parsed(primingEvent('out.1-1', 1234))
    expect(events).toEqual([{ id: 'out.1-1', event: undefined, data: '' }])
    expect(retry).toBe(1234)
  })

  test('a comment is no event', () => {
    const { events, comments } = parsed(KEEP_ALIVE)
    expect([events.length, comments.length]).toEqual([0, 1])
  })
})
