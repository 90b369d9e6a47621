import { createParser } from 'eventsource-parser'
import { tooLarge } from './answer.js'

/**
 * One event of a server's stream. Without `data` it only moves the cursor: a priming event, or one of a type MCP doesn't
 * have. `id`: with which the stream can be resumed behind it.
 */
export type ServerEvent = { id: string | undefined; data: string }

/** `maxBytes`: the largest event. `onRetry`: the server's word on how long to wait before coming back, in milliseconds. */
export type EventIntake = { maxBytes: number; onRetry: (ms: number) => void }

/** Longer ids would leave no room for the other headers, and each is written to the journal. */
const LONGEST_ID = 1024
/** Waits that a server may ask for: none so short that it is asked without a pause, none so long that a call seems dead. */
const SHORTEST_RETRY_MS = 10
const LONGEST_RETRY_MS = 60_000

/**
 * The events of an SSE body, in order, until it ends; what follows the last blank line is not an event. Throws what
 * breaks the body, and a `BadAnswerError` when an event gets too large.
 */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
  { maxBytes, onRetry }: EventIntake,
): AsyncGenerator<ServerEvent> {
  const read: ServerEvent[] = []
  let isTooLarge = false
  const parser = createParser({
    onEvent: ({ id, event = 'message', data }) => {
      isTooLarge ||= data.length > maxBytes
      read.push({ id: isSendable(id) ? id : undefined, data: event === 'message' ? data : '' })
    },
    onRetry: (ms) => onRetry(Math.min(Math.max(ms, SHORTEST_RETRY_MS), LONGEST_RETRY_MS)),
    onError: ({ type }) => (isTooLarge ||= type === 'max-buffer-size-exceeded'),
    maxBufferSize: maxBytes,
  })
  // Takes a byte order mark away, and puts characters together that were split between chunks.
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    if (isTooLarge) throw tooLarge(maxBytes)
    yield* read.splice(0)
  }
}

/** Headers have no place for control characters. */
const isSendable = (id: string | undefined) =>
  // oxlint-disable-next-line no-control-regex
  id !== undefined && Buffer.byteLength(id) <= LONGEST_ID && !/[\x00-\x1f\x7f]/.test(id)
