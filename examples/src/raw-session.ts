import { LATEST_PROTOCOL_VERSION } from '@modelcontextprotocol/sdk/types.js'
import { readEvents } from './sse.js'

/** What one request was, as a curl command, and the lines that tell its answer. */
export interface Step {
  command: string
  answer: string[]
}

/** An event that carries an id, with the message in it; a priming event has none. */
export interface Received {
  id: string
  message: Message | undefined
}

interface Message {
  method?: string
  params?: { data?: { counted?: number } }
  result?: unknown
}

/** A client of nothing but `fetch`, to show what goes over the wire. */
export class RawSession {
  readonly #told: (step: Step) => void
  #sessionId: string | undefined

  constructor(told: (step: Step) => void) {
    this.#told = told
  }

  async initialize(node: URL): Promise<void> {
    const clientInfo = { name: 'resumability', version: '1.0.0' }
    const params = { protocolVersion: LATEST_PROTOCOL_VERSION, capabilities: {}, clientInfo }
    const { response, command } = await this.#post(node, { id: 0, method: 'initialize', params })
    await response.text()
    this.#sessionId = response.headers.get('mcp-session-id') ?? undefined
    this.#told({ command, answer: [`mcp-session-id: ${this.#sessionId ?? '(none)'}`] })
    const initialized = await this.#post(node, { method: 'notifications/initialized' })
    this.#told({ command: initialized.command, answer: [`${initialized.response.status}`] })
  }

  /** Calls `count_slowly` and leaves after so many messages. */
  async call(node: URL, args: { to: number; everyMs: number }, leaveAfter: number): Promise<Received[]> {
    const params = { name: 'count_slowly', arguments: args }
    const { response, command } = await this.#post(node, { id: 1, method: 'tools/call', params })
    return this.#listen(response, command, leaveAfter)
  }

  /** Reads on behind `lastEventId` until the result. */
  async resume(node: URL, lastEventId: string): Promise<Received[]> {
    const headers = this.#headers({ 'last-event-id': lastEventId })
    const response = await answered(fetch(node, { headers }), node)
    const received = await this.#listen(response, curl(node, headers))
    // A server may repeat the cursor's own id, without data, to give the new connection an id at once.
    return received.filter(({ id, message }) => id !== lastEventId || message !== undefined)
  }

  async #listen(response: Response, command: string, leaveAfter = Infinity): Promise<Received[]> {
    const received: Received[] = []
    const answer: string[] = []
    let messages = 0
    for await (const { id, data } of readEvents(response.body!)) {
      if (id === undefined) continue
      const message = data === '' ? undefined : (JSON.parse(data) as Message)
      received.push({ id, message })
      answer.push(tell(id, message))
      if (message?.method !== undefined) messages++
      if (message?.result !== undefined) break
      if (messages === leaveAfter) {
        answer.push('^C')
        break
      }
    }
    this.#told({ command, answer })
    return received
  }

  async #post(node: URL, message: object): Promise<{ response: Response; command: string }> {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    const headers = this.#headers({ 'content-type': 'application/json' })
    const response = await answered(fetch(node, { method: 'POST', headers, body }), node)
    return { response, command: curl(node, headers, body) }
  }

  #headers(more: Record<string, string>): Record<string, string> {
    const accept = { accept: 'application/json, text/event-stream' }
    if (this.#sessionId === undefined) return { ...accept, ...more }
    const version = { 'mcp-protocol-version': LATEST_PROTOCOL_VERSION }
    return { ...accept, 'mcp-session-id': this.#sessionId, ...version, ...more }
  }
}

async function answered(request: Promise<Response>, node: URL): Promise<Response> {
  const response = await request.catch((cause: unknown) => {
    throw new Error(`nobody answers at ${node.href}; is the node running?`, { cause })
  })
  if (response.ok) return response
  throw new Error(`${node.href} answered ${response.status}: ${await response.text()}`)
}

function curl(node: URL, headers: Record<string, string>, body?: string): string {
  const parts = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`)
  if (body !== undefined) parts.push(`-d '${body}'`)
  return [`curl -iN ${node.href}`, ...parts].join(' \\\n    ')
}

function tell(id: string, message: Message | undefined): string {
  if (message === undefined) return `id: ${id}  (an id to resume from, no message)`
  const { method, params, result } = message
  return `id: ${id}  ${method ?? 'result'} ${JSON.stringify(params?.data ?? result ?? message)}`
}
