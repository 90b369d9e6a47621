import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

/** Protocol version in which there are no sessions. */
export const SESSIONLESS = '2026-07-28'

/** What one `POST` said, and the backend that the load balancer gave it to. */
interface Sent {
  method: string
  /** It is a request again, with the answers to what its call has asked. */
  isRetry: boolean
  servedBy: string
}

/** The official client, unmodified, told to speak the version without sessions and no other. */
export class SessionlessClient {
  readonly sent: Sent[] = []
  /** Anything that would name a session: nothing, if all is well. */
  readonly sessionIds: string[] = []
  questions = 0
  readonly #client = new Client(
    { name: 'demo', version: '1.0.0' },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: SESSIONLESS } } },
  )
  readonly #endpoint: URL

  /** `beforeAnswer`: what happens while the user thinks about a question. */
  constructor(endpoint: URL, beforeAnswer: () => Promise<void>) {
    this.#endpoint = endpoint
    this.#client.setRequestHandler('elicitation/create', async () => {
      this.questions++
      await beforeAnswer()
      return { action: 'accept', content: { username: 'ada' } }
    })
  }

  async call(name: string): Promise<string> {
    const fetch = (url: string | URL, init?: RequestInit) => this.#fetch(url, init)
    await this.#client.connect(new StreamableHTTPClientTransport(this.#endpoint, { fetch }))
    try {
      const { content } = await this.#client.callTool({ name, arguments: {} })
      return content.map((part) => (part.type === 'text' ? part.text : part.type)).join(' ')
    } finally {
      await this.#client.close()
    }
  }

  async #fetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(url, init)
    const headers = [new Headers(init.headers), response.headers]
    this.sessionIds.push(...headers.flatMap((each) => each.get('mcp-session-id') ?? []))
    if (typeof init.body === 'string') {
      const { method, params } = JSON.parse(init.body) as { method: string; params?: object }
      const isRetry = params !== undefined && 'inputResponses' in params
      this.sent.push({ method, isRetry, servedBy: response.headers.get('x-served-by') ?? '' })
    }
    return response
  }
}
