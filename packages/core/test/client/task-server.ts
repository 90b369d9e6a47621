import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { freePort } from '../../../../test-support/index.js'
import { json, reset } from './scripted-server.js'
import type { Reply } from './scripted-server.js'

// A server of another maker: what the revision 2026-07-28 and the extension for tasks (SEP-2663) say, and nothing of ours.

const VERSION = '2026-07-28'
const EXTENSION = 'io.modelcontextprotocol/tasks'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const PROTOCOL_VERSION = 'io.modelcontextprotocol/protocolVersion'

export type Asked = {
  id?: number | string
  method: string
  params: { [key: string]: unknown; _meta: Record<string, unknown> }
  headers: IncomingHttpHeaders
  at: number
}
type Message = { jsonrpc: '2.0'; id: number | string } & Pick<Asked, 'method' | 'params'>
type Answered = { result: unknown } | { error: { code: number; message: string; data?: unknown } }

export type TaskScript = {
  /** What a `tools/call` answers with. Default: a task. */
  call?: (message: Message, response: ServerResponse) => Answered | undefined
  /** What each `tasks/get` shows; the last for ever. Functions see what has been asked so far. */
  states: readonly (Record<string, unknown> | ((server: TaskServer) => Record<string, unknown>))[]
  /** Whole answers to the next requests of a method, in place of the right ones. `undefined`: the right one. */
  instead?: Record<string, (Reply | undefined)[]>
  /** Answers as a stream of events. */
  events?: boolean
  pollIntervalMs?: unknown
  taskId?: unknown
  /** Of `CreateTaskResult`. */
  created?: Record<string, unknown>
}

export class TaskServer implements AsyncDisposable {
  readonly asked: Asked[] = []
  readonly script: TaskScript
  readonly #server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.once('end', () => this.#answer(request.method ?? '', request.headers, body, response))
  })
  #port = 0
  #shown = 0

  private constructor(script: TaskScript) {
    this.script = script
  }

  static async start(script: TaskScript) {
    const server = new TaskServer(script)
    await server.listen()
    return server
  }

  get url() {
    return new URL(`http://127.0.0.1:${this.#port}/mcp`)
  }

  count(method: string) {
    return this.asked.filter((asked) => asked.method === method).length
  }

  of(method: string) {
    return this.asked.filter((asked) => asked.method === method)
  }

  async until(condition: () => boolean) {
    while (!condition()) await once(this.#server, 'asked')
  }

  async listen() {
    this.#port ||= await freePort()
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async close() {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose]() {
    if (this.#server.listening) await this.close()
  }

  #answer(verb: string, headers: IncomingHttpHeaders, body: string, response: ServerResponse) {
    if (verb !== 'POST') {
      this.asked.push({ method: verb, params: { _meta: {} }, headers, at: Date.now() })
      this.#server.emit('asked')
      const reply = this.script.instead?.[verb]?.shift()
      if (reply) reply(response)
      else response.writeHead(405).end()
      return
    }
    const message = JSON.parse(body) as Message
    const { id, method, params } = message
    this.asked.push({ id, method, params, headers, at: Date.now() })
    this.#server.emit('asked')
    const reply = this.script.instead?.[message.method]?.shift()
    if (reply) return reply(response)
    const refusal = refusalOf(message, headers)
    if (refusal) return this.#send(response, 400, { id: message.id, error: refusal })
    const answered = this.#handle(message, response)
    if (answered) this.#send(response, 200, { id: message.id, ...answered })
  }

  #send(response: ServerResponse, status: number, message: object) {
    const data = JSON.stringify({ jsonrpc: '2.0', ...message })
    if (!this.script.events)
      return response.writeHead(status, { 'content-type': 'application/json' }).end(data)
    response.writeHead(status, { 'content-type': 'text/event-stream' })
    return response.end(`: hello\n\nevent: message\ndata: ${data}\n\n`)
  }

  #handle(message: Message, response: ServerResponse): Answered | undefined {
    const { call, states, pollIntervalMs = 1, taskId = 'task 1', created } = this.script
    const task = { taskId, createdAt: DATE, lastUpdatedAt: DATE, ttlMs: null, pollIntervalMs }
    switch (message.method) {
      case 'server/discover':
        return complete({ supportedVersions: [VERSION], capabilities: CAN, ...CACHED })
      case 'tools/list':
        return complete({ tools: [{ name: 'work', inputSchema: { type: 'object' } }], ...CACHED })
      case 'tools/call':
        if (call) return call(message, response)
        return { result: { resultType: 'task', ...task, status: 'working', ...created } }
      case 'tasks/get': {
        const state = states[Math.min(this.#shown++, states.length - 1)]
        return complete({ ...task, ...(typeof state === 'function' ? state(this) : state) })
      }
      case 'tasks/update':
      case 'tasks/cancel':
        return complete({})
      default:
        return { error: { code: -32601, message: 'Method not found' } }
    }
  }
}

const DATE = '2026-11-28T08:00:00Z'
const CAN = { tools: {}, extensions: { [EXTENSION]: {} } }
const CACHED = { ttlMs: 0, cacheScope: 'private' }
const INFO = { 'io.modelcontextprotocol/serverInfo': { name: 'another', version: '1' } }
const complete = (result: object): Answered => ({
  result: { resultType: 'complete', _meta: INFO, ...result },
})

/** What each request must say, and its headers must repeat. */
function refusalOf({ method, params }: Message, headers: IncomingHttpHeaders) {
  const { _meta: meta } = params
  const name = params['taskId'] ?? params['name']
  const sent = headers['mcp-name'] as string | undefined
  const plain = sent?.startsWith('=?base64?') ? Buffer.from(sent.slice(9, -2), 'base64').toString() : sent
  const isWrong =
    headers['mcp-protocol-version'] !== meta[PROTOCOL_VERSION] ||
    headers['mcp-method'] !== method ||
    (name !== undefined && plain !== name)
  if (isWrong) return { code: -32020, message: 'Header mismatch' }
  const { extensions = {} } = meta[CAPABILITIES] as { extensions?: object }
  const data = { requiredCapabilities: { extensions: { [EXTENSION]: {} } } }
  if (method.startsWith('tasks/') && !(EXTENSION in extensions))
    return { code: -32021, message: 'Missing capability', data }
  return undefined
}

export const resets = (count: number): Reply[] => Array.from({ length: count }, () => reset)
/** With an error of JSON-RPC, or with what is none. */
export const refusing =
  (status: number, headers: Record<string, string> = {}, error?: object): Reply =>
  (response) =>
    void response
      .writeHead(status, headers)
      .end(error ? JSON.stringify({ jsonrpc: '2.0', id: 'x', error }) : 'no')
export const answering = (message: object): Reply => json({ jsonrpc: '2.0', id: 'x', ...message })
