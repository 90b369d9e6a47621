import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { RequestId } from '../../src/json-rpc.js'

/** One request as it came over the wire; header values are their bytes, as characters of latin1. */
export type RawRequest = {
  method: string
  headers: Record<string, string>
  message: { id?: RequestId; method?: string; params?: { name?: string } }
}
type Answering = (request: RawRequest, socket: Socket) => string | Buffer | undefined

export const CRLF = '\r\n'
const LIST = { tools: [{ name: 'run', inputSchema: { type: 'object' } }] }

/** An HTTP response of JSON. */
export function jsonAnswer(body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const all = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
    ...headers,
  }
  return head('200 OK', all) + text
}

/** The begin of an HTTP response; without a length its body ends with the connection. */
export const head = (status: string, headers: Record<string, string> = {}) =>
  [`HTTP/1.1 ${status}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join(
    CRLF,
  )

export const SSE = head('200 OK', { 'content-type': 'text/event-stream' })

export const resultFor = (id: RequestId | undefined, text = 'fine') => ({
  jsonrpc: '2.0',
  id,
  result: { content: [{ type: 'text', text }] },
})

/** A server on bare TCP: a small MCP server with one tool, `run`, which answers with any bytes the test likes. */
export class RawUpstream implements AsyncDisposable {
  readonly requests: RawRequest[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What is answered in place of the usual; a string is written, and the connection ended. `undefined`: as usual. */
  instead: Answering = () => undefined

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => this.#connected(socket))
  }

  static async start() {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new RawUpstream(server)
  }

  get url() {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`
  }

  async [Symbol.asyncDispose]() {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connected(socket: Socket) {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    let read = ''
    socket.on('data', (chunk) => {
      read += chunk.toString('latin1')
      for (let taken = take(read); taken; taken = take(read)) {
        read = taken.rest
        this.#serve(taken.request, socket)
      }
    })
  }

  #serve(request: RawRequest, socket: Socket) {
    this.requests.push(request)
    const instead = this.instead(request, socket)
    if (instead !== undefined) socket.end(Buffer.isBuffer(instead) ? instead : Buffer.from(instead, 'utf8'))
    else if (!handled.has(socket)) socket.write(usual(request))
    handled.delete(socket)
  }
}

const handled = new WeakSet<Socket>()

/** The test writes to the socket itself. */
export function byHand(socket: Socket, write: () => void): undefined {
  handled.add(socket)
  write()
}

function usual({ method, message }: RawRequest): string {
  if (method === 'GET') return head('405 No', { 'content-length': '0' })
  if (message.method === undefined || message.id === undefined)
    return head('202 OK', { 'content-length': '0' })
  const { id } = message
  if (message.method === 'initialize') {
    const result = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      serverInfo: { name: 'raw', version: '1' },
    }
    return jsonAnswer({ jsonrpc: '2.0', id, result }, { 'mcp-session-id': 's' })
  }
  if (message.method === 'tools/list') return jsonAnswer({ jsonrpc: '2.0', id, result: LIST })
  return jsonAnswer(message.method === 'tools/call' ? resultFor(id) : { jsonrpc: '2.0', id, result: {} })
}

function take(read: string): { request: RawRequest; rest: string } | undefined {
  const end = read.indexOf(CRLF + CRLF)
  if (end < 0) return undefined
  const [line = '', ...lines] = read.slice(0, end).split(CRLF)
  const headers = Object.fromEntries(
    lines.map((each) => [
      each.slice(0, each.indexOf(':')).toLowerCase(),
      each.slice(each.indexOf(':') + 1).trim(),
    ]),
  ) as Record<string, string>
  const bodyEnd = end + 4 + Number(headers['content-length'] ?? 0)
  if (read.length < bodyEnd) return undefined
  const body = read.slice(end + 4, bodyEnd)
  const message = body === '' ? {} : (JSON.parse(body) as RawRequest['message'])
  return { request: { method: line.split(' ', 1)[0] ?? '', headers, message }, rest: read.slice(bodyEnd) }
}
