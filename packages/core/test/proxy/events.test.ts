import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEvents } from '../../src/proxy/events.js'
import type { ServerEvent } from '../../src/proxy/events.js'

const intake = (retries: number[] = [], maxBytes = 1_000_000) => ({
  maxBytes,
  onRetry: (ms: number) => void retries.push(ms),
})

/** Events of a text, whose bytes come in pieces of these sizes, over and over. */
async function eventsOf(text: string, sizes: readonly number[] = [1_000_000]) {
  const bytes = new TextEncoder().encode(text)
  const retries: number[] = []
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = sizes[n % sizes.length] ?? 1
        controller.enqueue(bytes.slice(at, at + size))
        at += size
      }
      controller.close()
    },
  })
  const events: ServerEvent[] = []
  for await (const event of readEvents(body, intake(retries))) events.push(event)
  return { events, retries }
}

const TEXT = [
  '\u{feff}: a comment',
  'id: 1',
  'retry: 40',
  'data: ',
  '',
  'data: {"a":',
  'data:"ü 🦊"}',
  'id:2',
  'event: message',
  '',
  ':',
  'event: ping',
  'data: not a message',
  'id: 3',
  '',
  'data: last',
  '',
  'data: never ended',
].join('\n')

const EVENTS = [
  { id: '1', data: '' },
  { id: '2', data: '{"a":\n"ü 🦊"}' },
  { id: '3', data: '' },
  { id: undefined, data: 'last' },
]

test.each(['\n', '\r\n', '\r'])('every way to end a line: %j', async (newline) => {
  const { events, retries } = await eventsOf(TEXT.replaceAll('\n', newline))
  expect(events).toEqual(EVENTS)
  expect(retries).toEqual([40])
})

test('wherever the bytes are split, in the middle of a character too', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 })
  const newlines = fc.constantFrom('\n', '\r\n')
  await fc.assert(
    fc.asyncProperty(sizes, newlines, async (pieces, newline) => {
      expect((await eventsOf(TEXT.replaceAll('\n', newline), pieces)).events).toEqual(EVENTS)
    }),
    { numRuns: 100 },
  )
})

test('a body that breaks gives what came before, then throws', async () => {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\ndata: 2')),
    pull: (controller) => controller.error(new Error('gone')),
  })
  const seen: string[] = []
  const read = async () => {
    for await (const { data } of readEvents(body, intake())) seen.push(data)
  }
  await expect(read()).rejects.toThrow('gone')
  expect(seen).toEqual(['1'])
})
