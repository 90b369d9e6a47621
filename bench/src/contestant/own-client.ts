import { sessionlessHeaders, sessionlessMeta } from '../protocol-2026.js'

type Fetch = (request: Request) => Response | Promise<Response>

/** A client in the process of the server, without a socket. */
export class OwnClient {
  readonly #fetch: Fetch
  readonly #sessionless: boolean
  #sessionId = ''
  #id = 0

  private constructor(fetch: Fetch, sessionless: boolean) {
    this.#fetch = fetch
    this.#sessionless = sessionless
  }

  /** A client of protocol 2026-07-28. */
  static sessionless(fetch: Fetch): OwnClient {
    return new OwnClient(fetch, true)
  }

  static async connect(fetch: Fetch): Promise<OwnClient> {
    const client = new OwnClient(fetch, false)
    const clientInfo = { name: 'bench', version: '1.0.0' }
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
    const response = await client.#post({ id: ++client.#id, method: 'initialize', params })
    client.#sessionId = response.headers.get('mcp-session-id') ?? ''
    await response.text()
    await client.#post({ method: 'notifications/initialized' })
    return client
  }

  /** Resolves when the result is here. */
  async call(name: string, args: object, expected: string) {
    const _meta = this.#sessionless && { _meta: sessionlessMeta() }
    const params = { name, arguments: args, ..._meta }
    const request = { id: ++this.#id, method: 'tools/call', params }
    const response = await this.#post(request, this.#sessionless ? sessionlessHeaders(name) : {})
    const body = await response.text()
    if (!body.includes(`"text":"${expected}"`)) throw new Error(`${name} failed: ${body}`)
  }

  async #post(message: object, more: Record<string, string> = {}) {
    const headers = {
      ...more,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(this.#sessionId && { 'mcp-session-id': this.#sessionId, 'mcp-protocol-version': '2025-11-25' }),
    }
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    return this.#fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
  }
}
