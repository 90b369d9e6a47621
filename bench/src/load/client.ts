import { sessionlessHeaders, sessionlessMeta } from '../protocol-2026.js'
import { Connection } from './connection.js'
import type { Answer } from './connection.js'

const PROTOCOL = '2025-11-25'
const CLIENT_INFO = { name: 'bench', version: '1.0.0' }
const ACCEPT = 'accept: application/json, text/event-stream\r\n'
/** All ids have as many digits, and so all bodies as many bytes. */
const FIRST_ID = 1_000_000

export type ToolCall = { tool: string; args: object; meta?: object }

/** A client of MCP that does what a client must, with as little work as can be. */
export class Client {
  readonly #url: URL
  #connection: Connection
  #sessionId = ''
  #postHead = ''
  #meta: object | undefined
  #protocol = PROTOCOL
  #id = FIRST_ID

  private constructor(url: URL, connection: Connection) {
    this.#url = url
    this.#connection = connection
    this.sessionId = ''
  }

  get sessionId() {
    return this.#sessionId
  }

  set sessionId(sessionId: string) {
    this.#sessionId = sessionId
    this.#sendWithEach(this.#sessionHeaders())
  }

  /** A client of protocol 2026-07-28, which calls one tool without any session. */
  static async sessionless(url: URL, tool: string): Promise<Client> {
    const client = new Client(url, await Connection.open(url))
    const headers = Object.entries(sessionlessHeaders(tool)).map(([name, value]) => `${name}: ${value}\r\n`)
    client.#sendWithEach(headers.join(''))
    client.#meta = sessionlessMeta()
    return client
  }

  /** Begins a session. */
  static async connect(url: URL): Promise<Client> {
    const client = new Client(url, await Connection.open(url))
    await client.initialize()
    return client
  }

  /** A client of a session that another one has begun. Those that are there at once need ids of their own. */
  static async join(url: URL, sessionId: string, firstId = FIRST_ID): Promise<Client> {
    const client = new Client(url, await Connection.open(url))
    client.sessionId = sessionId
    client.#id = firstId
    return client
  }

  /** Begins one more session on the same connection, and leaves the one before. */
  async initialize() {
    this.sessionId = ''
    const params = { protocolVersion: PROTOCOL, capabilities: {}, clientInfo: CLIENT_INFO }
    const { status, head, body } = await this.post(this.#request('initialize', params))
    const [, sessionId] = /\r\nmcp-session-id: *(\S+)/i.exec(head) ?? []
    if (status !== 200 || sessionId === undefined) throw new Error(`initialize failed: ${head}${body}`)
    const [, version = PROTOCOL] = /"protocolVersion": *"([\d-]+)"/.exec(body) ?? []
    this.#protocol = version
    this.sessionId = sessionId
    const initialized = await this.post(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }),
    )
    if (initialized.status !== 202)
      throw new Error(`initialized failed: ${initialized.head}${initialized.body}`)
  }

  /** Servers close connections on which nothing has happened for a while. */
  async reconnect() {
    this.#connection.close()
    this.#connection = await Connection.open(this.#url)
  }

  /** Calls a tool and looks that its result is what it must be. */
  async call({ tool, args, meta }: ToolCall, expected: string): Promise<Answer> {
    const _meta = this.#meta ? { ...this.#meta, ...meta } : meta
    const params = { name: tool, arguments: args, ...(_meta && { _meta }) }
    const request = this.#request('tools/call', params)
    const answer = await this.post(request)
    if (answer.status !== 200 || !answer.body.includes(expected) || !answer.body.includes(`"id":${this.#id}`))
      throw new Error(`${tool} failed: ${answer.head}${answer.body}`)
    return answer
  }

  async add(): Promise<Answer> {
    const a = this.#id + 1
    return this.call({ tool: 'add', args: { a, b: 1 } }, `"text":"${a + 1}"`)
  }

  async ping() {
    const { status, head } = await this.post(this.#request('ping'))
    if (status !== 200) throw new Error(`ping failed: ${head}`)
  }

  post(body: string): Promise<Answer> {
    return this.#connection.send(`${this.#postHead}${body.length}\r\n\r\n${body}`)
  }

  /** A stream that is resumed, to its end. */
  resume(lastEventId: string): Promise<Answer> {
    return this.#connection.send(this.#get(`last-event-id: ${lastEventId}\r\n`))
  }

  /** Opens the standalone stream. Resolves when it is open. */
  async listen(listener: (text: string) => void) {
    const first = await this.#connection.follow(this.#get(''), listener)
    if (!first.startsWith('HTTP/1.1 200')) throw new Error(`GET failed: ${first}`)
  }

  close() {
    this.#connection.close()
  }

  #get(cursor: string) {
    return (
      `GET ${this.#url.pathname} HTTP/1.1\r\nhost: ${this.#url.host}\r\naccept: text/event-stream\r\n` +
      `${cursor}${this.#sessionHeaders()}\r\n`
    )
  }

  #sendWithEach(headers: string) {
    this.#postHead =
      `POST ${this.#url.pathname} HTTP/1.1\r\nhost: ${this.#url.host}\r\ncontent-type: application/json\r\n` +
      `${ACCEPT}${headers}content-length: `
  }

  #sessionHeaders() {
    return this.sessionId === ''
      ? ''
      : `mcp-session-id: ${this.sessionId}\r\nmcp-protocol-version: ${this.#protocol}\r\n`
  }

  #request(method: string, params?: object) {
    return JSON.stringify({ jsonrpc: '2.0', id: ++this.#id, method, params })
  }
}

/** As many at a time do the work, until all of it is done. */
export async function inParallel<T>(
  workers: readonly T[],
  count: number,
  work: (worker: T, index: number) => Promise<unknown>,
) {
  let next = 0
  await Promise.all(
    workers.map(async (worker) => {
      while (next < count) await work(worker, next++)
    }),
  )
}
