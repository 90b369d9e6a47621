import type { Nodes, Sdk } from './nodes.js'
import type { Question } from './world.js'
import { connectV1 } from './client-v1.js'
import { connectV2 } from './client-v2.js'

export type Answers = Partial<Record<Question, () => unknown>>
export type Notified = { method: string; params: Record<string, unknown> | undefined }
export type CallOptions = {
  onprogress?: (progress: number) => void
  /** Told of the id of every event on the stream of the call. */
  onresumptiontoken?: (eventId: string) => void
  signal?: AbortSignal
  timeout?: number
}

/** An official client, with what the tests use of it. */
export interface OfficialClient extends AsyncDisposable {
  readonly sessionId: string | undefined
  /** Every notification that came. */
  readonly notified: Notified[]
  readonly errors: Error[]
  listTools(): Promise<string[]>
  /** Resolves to the text of the result. */
  callTool(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>
  getPrompt(name: string, args: Record<string, string>): Promise<string>
  readResource(uri: string): Promise<string>
  complete(prompt: string, argument: { name: string; value: string }): Promise<string[]>
  setLevel(level: string): Promise<void>
  subscribe(uri: string): Promise<void>
  unsubscribe(uri: string): Promise<void>
  terminate(): Promise<void>
}

export type ConnectOptions = {
  /** Which node each request goes to, in turn; default: all of them. */
  turns?: readonly number[]
  who?: string
  answers?: Answers
  /** Told of every answer of the server. */
  onResponse?: (method: string, status: number, lastEventId: string | null) => void
}

export type Connecting = {
  url: URL
  fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  answers: Answers
}

/** Answers that a client gives when the test names no others. */
export const ANSWERS: Required<Answers> = {
  elicitation: () => ({ action: 'accept', content: { ok: true } }),
  sampling: () => ({ model: 'test', role: 'assistant', content: { type: 'text', text: 'hi' } }),
  roots: () => ({ roots: [{ uri: 'file:///test' }] }),
}

export function connect(sdk: Sdk, nodes: Nodes, options: ConnectOptions = {}): Promise<OfficialClient> {
  const turns = options.turns ?? [...nodes.endpoints.keys()]
  let turn = 0
  const connecting: Connecting = {
    // The path is the same everywhere; `fetch` picks the node.
    url: new URL(nodes.endpoint(0).url),
    answers: { ...ANSWERS, ...options.answers },
    fetch: async (_url, init) => {
      const headers = new Headers(init?.headers)
      if (options.who !== undefined) headers.set('authorization', `Bearer ${options.who}`)
      const response = await nodes.endpoint(turns[turn++ % turns.length] ?? 0).fetch({ ...init, headers })
      options.onResponse?.(init?.method ?? 'GET', response.status, headers.get('last-event-id'))
      return response
    },
  }
  return sdk === 'v1' ? connectV1(connecting) : connectV2(connecting)
}
