import { createParser } from 'eventsource-parser'
import { Log } from './log.js'

/** One SSE event as it came over the wire. */
export interface WireEvent {
  readonly id: string | undefined
  /** The `Last-Event-ID` that the client came with, if this stream was resumed. */
  readonly after: string | undefined
  /** Empty for a priming event. */
  readonly data: string
}

/** How a connection ends early: as if the network broke, or as if the server had ended it. */
export type Break = 'broken' | 'ended' | undefined

/** A `fetch` that notes every SSE event it passes on, and changes nothing but what `breaks` says. */
export class Tap {
  readonly events = new Log<WireEvent>('events on the wire')
  /** Sent as a bearer token with every request; it may change. */
  token: string | undefined
  /** Asked after each event; `index`: its place on the connection. */
  breaks: (event: WireEvent, index: number) => Break = () => undefined

  readonly fetch = async (url: string | URL, init?: RequestInit): Promise<Response> => {
    const headers = new Headers(init?.headers)
    if (this.token !== undefined) headers.set('authorization', `Bearer ${this.token}`)
    const response = await fetch(url, { ...init, headers })
    if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
      return response
    }
    const after = headers.get('last-event-id') ?? undefined
    const body = response.body.pipeThrough(this.#observer(after))
    return new Response(body, { status: response.status, headers: response.headers })
  }

  /** Ids of events with data, in the order of their arrival. */
  get ids(): string[] {
    return this.events.items.flatMap(({ id, data }) => (data !== '' && id !== undefined ? [id] : []))
  }

  #observer(after: string | undefined) {
    let index = 0
    let end: Break
    const parser = createParser({
      onEvent: ({ id, data }) => {
        const event = { id, after, data }
        this.events.push(event)
        end = this.breaks(event, index++)
      },
    })
    // An event at a time, so that a connection can end right after any of them.
    const events = new EventChunks()
    return new TransformStream<Uint8Array, Uint8Array>({
      transform: async (chunk, controller) => {
        for (const text of events.split(chunk)) {
          controller.enqueue(Buffer.from(text))
          parser.feed(text)
          if (end === undefined) continue
          // An error drops what was not read yet; the client is to have the event first.
          await nextTurns()
          if (end === 'broken') return controller.error(new Error('the connection was broken on purpose'))
          return controller.terminate()
        }
      },
    })
  }
}

async function nextTurns() {
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve))
}

/** Cuts a byte stream of SSE after each event; an event that has not come whole yet waits for its rest. */
class EventChunks {
  readonly #decoder = new TextDecoder()
  #rest = ''

  split(chunk: Uint8Array): string[] {
    const events = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split(/(?<=\n\n)/)
    this.#rest = events.at(-1)?.endsWith('\n\n') === true ? '' : (events.pop() ?? '')
    return events
  }
}
