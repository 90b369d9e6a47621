import { createParser } from 'eventsource-parser'

export type SeenEvent = { id: string; data: string; at: number }
export type Tap = { onEvent: (event: SeenEvent) => void; onEnded: () => void }

/** The response, each of whose events is noted as it comes, and when there are no more. */
export function tapped(response: Response, { onEvent, onEnded }: Tap): Response {
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  const parser = createParser({
    onEvent: ({ id, data }) => {
      if (id !== undefined) onEvent({ id, data, at: Date.now() })
    },
  })
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const read = await reader.read().catch((error: unknown) => {
          onEnded()
          throw error
        })
        if (read.done) {
          onEnded()
          return controller.close()
        }
        parser.feed(decoder.decode(read.value, { stream: true }))
        controller.enqueue(read.value)
      },
      async cancel(reason) {
        onEnded()
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status: response.status, headers: response.headers })
}

export const hasEvents = ({ headers, body }: Response) =>
  body !== null && headers.get('content-type')?.startsWith('text/event-stream') === true
