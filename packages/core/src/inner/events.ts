import { createParser } from 'eventsource-parser'

/** One event of a server's stream. Without `data` it only moves the cursor: a priming event, or one of a type MCP doesn't have. */
export type ServerEvent = { id: string | undefined; data: string }

/** So long a server's `retry:` may keep us away: calls wait for it. */
const MOST_RETRY_MS = 60_000

/**
 * The events of an SSE body, in order, until it ends; what follows the last blank line is not an event. Throws what
 * breaks the body. `onRetry`: the server's word on how long to wait before coming back, in milliseconds.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onRetry: (ms: number) => void,
): AsyncGenerator<ServerEvent> {
  const read: ServerEvent[] = []
  const parser = createParser({
    onEvent: ({ id, event = 'message', data }) => read.push({ id, data: event === 'message' ? data : '' }),
    onRetry: (ms) => onRetry(Math.min(ms, MOST_RETRY_MS)),
  })
  // Takes a byte order mark away, and puts characters together that were split between chunks.
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    yield* read.splice(0)
  }
}
