import { connectSdk1 } from './client-sdk1.js'
import { connectSdk2 } from './client-sdk2.js'
import { Log } from './log.js'
import type { Router } from './router.js'
import { Tap } from './tap.js'

/** Major of the official TypeScript client. */
export type Major = 1 | 2
export const majors: Major[] = [1, 2]
/** Majors, for server objects, for a wrapped handler, and for an upstream. */
export const majorsAndHosts = (['server', 'handler', 'upstream'] as const).flatMap((host) =>
  majors.map((major) => [major, host] as const),
)

/** Server objects of both majors, and each other host with one of them. */
export const systems = [
  [1, 'server'],
  [2, 'server'],
  [2, 'handler'],
  [1, 'upstream'],
] as const

export type Message = { method: string; params?: Record<string, unknown> | undefined }
export type Content = { type: string; text?: string | undefined }
export type ToolResult = { text: string; pid: number }
export interface CallOptions {
  onprogress?: (progress: number) => void
  signal?: AbortSignal
}
/** A question of the server, and how its handler reports progress on it. */
export type Question = Message & { progress(step: number): Promise<void> }

/** An official client, connected, behind an interface that both majors have. */
export interface OfficialClient {
  readonly sessionId: string
  callTool(name: string, args: Record<string, unknown>, options: CallOptions): Promise<Content[]>
  subscribe(uri: string): Promise<unknown>
  setLevel(level: 'debug' | 'warning' | 'error'): Promise<unknown>
  rootsChanged(): Promise<unknown>
  listTools(): Promise<string[]>
  readResource(uri: string): Promise<string>
  close(): Promise<void>
}

/** What both majors tell the test about. */
export class Ears {
  readonly tap = new Tap()
  /** Notifications that reached the application's handler. */
  readonly notifications = new Log<Message>('notifications')
  readonly questions = new Log<Question>('questions')
  readonly errors: Error[] = []
  /** What the application answers; a test may replace it. */
  answer: (question: Question) => Promise<Record<string, unknown>> = async ({ method, params }) => {
    if (method === 'elicitation/create') return { action: 'accept', content: { ok: true } }
    if (method === 'roots/list') return { roots: [{ uri: 'file:///root' }] }
    const { messages } = params as { messages: { content: { text: string } }[] }
    const content = { type: 'text', text: `said ${messages[0]?.content.text}` }
    return { model: 'none', role: 'assistant', content }
  }

  /** The handler of every question. */
  readonly hear = (question: Question): Promise<never> => {
    this.questions.push(question)
    return this.answer(question) as Promise<never>
  }
}

export class TestClient extends Ears implements AsyncDisposable {
  readonly major: Major
  readonly router: Router
  #client!: OfficialClient

  private constructor(major: Major, router: Router) {
    super()
    this.major = major
    this.router = router
  }

  static async connect(major: Major, router: Router, token?: string): Promise<TestClient> {
    const client = new TestClient(major, router)
    client.tap.token = token
    const connect = { 1: connectSdk1, 2: connectSdk2 }[major]
    client.#client = await connect(router.url, client)
    return client
  }

  get sessionId() {
    return this.#client.sessionId
  }

  get api(): OfficialClient {
    return this.#client
  }

  call(name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<ToolResult> {
    const result = this.#call(name, args, options)
    // A test that fails meanwhile never looks at it.
    result.catch(() => undefined)
    return result
  }

  /** The data of log messages so far. */
  get heard(): unknown[] {
    const messages = this.notifications.items.filter(({ method }) => method === 'notifications/message')
    return messages.map(({ params }) => params?.['data'])
  }

  /** Waits for a log message. */
  hears(data: string) {
    return this.notifications.first(({ params }) => params?.['data'] === data)
  }

  /** Waits until the client could resume a call's stream: it has an event id of it. */
  primed(since = 0) {
    return this.tap.events.first(({ id, data }) => data === '' && id?.startsWith('out.') === false, since)
  }

  /** How many events on the wire contain the text. */
  timesSeen(text: string) {
    return this.tap.events.items.filter(({ data }) => data.includes(text)).length
  }

  /** Waits until the standalone stream is open; without it, what is sent waits in the log. */
  async listens(): Promise<this> {
    await this.router.answered('GET')
    return this
  }

  async #call(name: string, args: Record<string, unknown>, options: CallOptions): Promise<ToolResult> {
    const [text, pid] = await this.#client.callTool(name, args, options)
    return { text: text?.text ?? '', pid: Number(pid?.text) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
  }
}
