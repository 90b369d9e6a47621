import type { ServerResponse } from 'node:http'

/** What a browser may be behind, in bytes: one that reads no more is cut off, and asks anew when it does. */
const MOST_BEHIND = 8 * 1024 * 1024
const ALIVE_MS = 20_000
const RETRY_MS = 2000

/** Events to one browser (SSE). */
export class EventStream {
  readonly #response: ServerResponse
  readonly #alive: NodeJS.Timeout

  constructor(response: ServerResponse) {
    this.#response = response
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    this.#write(`retry: ${RETRY_MS}\n\n`)
    this.#alive = setInterval(() => this.#write(': still here\n\n'), ALIVE_MS)
    response.on('close', () => clearInterval(this.#alive))
  }

  /** `json` has no line end in it. */
  send(event: string, json: string) {
    this.#write(`event: ${event}\ndata: ${json}\n\n`)
  }

  end() {
    this.#response.end()
  }

  #write(text: string) {
    if (this.#response.writableLength > MOST_BEHIND) this.#response.destroy()
    else if (!this.#response.writableEnded) this.#response.write(text)
  }
}
