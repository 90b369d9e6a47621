import { createParser } from 'eventsource-parser'

/** One event of a stream. Without `data` it says only how long to wait before coming back. */
export type StreamEvent = {
  id?: string | undefined
  event?: string | undefined
  data?: string
  retry?: number
}

/** The events of a body, in order, until it ends. Throws what breaks it. */
export async function* readEvents(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<StreamEvent> {
  const read: StreamEvent[] = []
  const parser = createParser({
    onEvent: (event) => read.push(event),
    onRetry: (retry) => read.push({ retry }),
  })
  const decoder = new TextDecoder()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    parser.feed(decoder.decode(value, { stream: true }))
    yield* read.splice(0)
  }
}

const encoder = new TextEncoder()

export function encodeEvent({ id, event, data, retry }: StreamEvent): Uint8Array<ArrayBuffer> {
  const lines = [
    ...(retry === undefined ? [] : [`retry: ${retry}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(data === undefined ? [] : data.split('\n').map((line) => `data: ${line}`)),
  ]
  return encoder.encode(`${lines.join('\n')}\n\n`)
}
