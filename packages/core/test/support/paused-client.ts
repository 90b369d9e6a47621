import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventReader } from './event-reader.js'
import type { Endpoint } from './serve.js'
import { BOTH } from './session.js'
import type { Session } from './session.js'

/** A client that sends its call and then takes nothing from its socket until it is told to. */
export class PausedClient implements AsyncDisposable {
  readonly #agent = new Agent()
  readonly #response: IncomingMessage

  private constructor(response: IncomingMessage, agent: Agent) {
    this.#response = response
    this.#agent = agent
  }

  static async call(session: Session, endpoint: Endpoint, name: string, args: object): Promise<PausedClient> {
    const agent = new Agent()
    const headers = {
      accept: BOTH,
      'content-type': 'application/json',
      'mcp-session-id': session.mcpSessionId,
      'mcp-protocol-version': session.version,
    }
    const sent = request(endpoint.url, { method: 'POST', headers, agent })
    const params = { name, arguments: args }
    sent.end(JSON.stringify({ jsonrpc: '2.0', id: session.nextId(), method: 'tools/call', params }))
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return new PausedClient(response, agent)
  }

  /** Begins to read. */
  read(): EventReader {
    const body = Readable.toWeb(this.#response) as ReadableStream<Uint8Array>
    return new EventReader(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
  }

  /** Reads all, with a pause after each so many bytes. Resolves to how many there were. */
  async takeSlowly(everyBytes: number, pauseMs: number): Promise<number> {
    let bytes = 0
    for await (const chunk of this.#response) {
      const before = Math.floor(bytes / everyBytes)
      bytes += (chunk as Buffer).length
      if (Math.floor(bytes / everyBytes) > before) await sleep(pauseMs)
    }
    return bytes
  }

  async [Symbol.asyncDispose]() {
    this.#response.on('error', () => undefined)
    this.#response.destroy()
    this.#agent.destroy()
  }
}
