import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  type CallToolResult,
} from '@modelcontextprotocol/sdk/types.js'

/** One request of the client, and the backend that the load balancer gave it to. */
export interface Exchange {
  /** `POST tools/call`, `POST answer`, `GET` for the standalone stream, `GET resume` for one that broke. */
  what: string
  servedBy: string
}

/**
 * The official client, unmodified. Its `fetch` notes which node served which request, from the header that the
 * load balancer adds.
 */
export class ObservedClient {
  readonly exchanges: Exchange[] = []
  readonly counted: number[] = []
  questions = 0
  readonly #client = new Client({ name: 'demo', version: '1.0.0' }, { capabilities: { elicitation: {} } })
  readonly #transport: StreamableHTTPClientTransport
  readonly #updated: Promise<string>
  readonly #waiting = new Set<() => void>()
  #beforeAnswer: () => Promise<void> = () => Promise.resolve()

  constructor(endpoint: URL) {
    this.#transport = new StreamableHTTPClientTransport(endpoint, {
      fetch: (url, init) => this.#fetch(url, init),
    })
    this.#client.setRequestHandler(ElicitRequestSchema, async () => {
      this.questions++
      await this.#beforeAnswer()
      return { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } }
    })
    this.#client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      this.counted.push((params.data as { counted: number }).counted)
    })
    this.#updated = new Promise((resolve) => {
      this.#client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
        resolve(params.uri),
      )
    })
  }

  get sessionId(): string | undefined {
    return this.#transport.sessionId
  }

  async connect(): Promise<void> {
    await this.#client.connect(this.#transport)
  }

  /** `keepSession`: somebody may want to look at it. */
  async close({ keepSession = false } = {}): Promise<void> {
    if (!keepSession) await this.#transport.terminateSession().catch(() => {})
    await this.#client.close()
  }

  async call(
    name: string,
    args: Record<string, unknown> = {},
    onprogress?: (step: number, node: string) => void,
  ): Promise<string> {
    const options = onprogress && {
      onprogress: ({ progress, message }: { progress: number; message?: string | undefined }) =>
        onprogress(progress, message ?? ''),
    }
    const result = (await this.#client.callTool(
      { name, arguments: args },
      undefined,
      options,
    )) as CallToolResult
    return result.content.map((part) => (part.type === 'text' ? part.text : part.type)).join(' ')
  }

  /** What happens while the user thinks about a question. Returns how to make that nothing again. */
  beforeAnswer(happens: () => Promise<void>): () => void {
    this.#beforeAnswer = happens
    return () => {
      this.#beforeAnswer = () => Promise.resolve()
    }
  }

  async subscribe(uri: string): Promise<void> {
    await this.#client.subscribeResource({ uri })
  }

  /** The URI of the first resource that was said to have changed. */
  async updated(): Promise<string> {
    return this.#updated
  }

  /** Waits for the first exchange of this kind at or after the index `since`. */
  async exchange(what: string, since: number): Promise<Exchange> {
    for (;;) {
      const found = this.exchanges.slice(since).find((exchange) => exchange.what === what)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  async #fetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(url, init)
    this.exchanges.push({ what: describe(init), servedBy: response.headers.get('x-served-by') ?? '' })
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
    return response
  }
}

function describe({ method = 'GET', body, headers }: RequestInit): string {
  if (method === 'GET') return new Headers(headers).has('last-event-id') ? 'GET resume' : 'GET'
  if (typeof body !== 'string') return method
  const message = JSON.parse(body) as { method?: string }
  return `${method} ${message.method ?? 'answer'}`
}
