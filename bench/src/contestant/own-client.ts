/** A client in the process of the server, without a socket. */
export class OwnClient {
  readonly #fetch: (request: Request) => Response | Promise<Response>
  #sessionId = ''
  #id = 0

  private constructor(fetch: (request: Request) => Response | Promise<Response>) {
    this.#fetch = fetch
  }

  static async connect(fetch: (request: Request) => Response | Promise<Response>): Promise<OwnClient> {
    const client = new OwnClient(fetch)
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
    const params = { name, arguments: args }
    const response = await this.#post({ id: ++this.#id, method: 'tools/call', params })
    const body = await response.text()
    if (!body.includes(`"text":"${expected}"`)) throw new Error(`${name} failed: ${body}`)
  }

  async #post(message: object) {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(this.#sessionId && { 'mcp-session-id': this.#sessionId, 'mcp-protocol-version': '2025-11-25' }),
    }
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    return this.#fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
  }
}
