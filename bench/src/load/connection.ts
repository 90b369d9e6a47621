import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The body of an answer in chunks is whole when the empty chunk has come. */
const LAST_CHUNK = '\r\n0\r\n\r\n'
const RECEIVED = Buffer.allocUnsafe(256 * 1024)
const END_OF_HEAD = '\r\n\r\n'
const CHUNKED = /\r\ntransfer-encoding: *chunked/i

export type Answer = { status: number; head: string; body: string }

/** The body of an answer without the marks of its chunks, which may come anywhere. */
export function textOf({ head, body }: Answer): string {
  if (!CHUNKED.test(head)) return body
  const chunks: string[] = []
  for (let at = 0; ;) {
    const end = body.indexOf('\r\n', at)
    const length = Number.parseInt(body.slice(at, end), 16)
    if (!(length > 0)) return chunks.join('')
    const begin = end + '\r\n'.length
    chunks.push(body.slice(begin, begin + length))
    at = begin + length + '\r\n'.length
  }
}

/**
 * One HTTP/1.1 connection that is kept alive, one request at a time. It parses no more than it must to find the end of
 * an answer, so that the load generator is not what is measured. Bodies keep the marks of their chunks.
 */
export class Connection {
  readonly #socket: Socket
  #parts: string[] = []
  #received = 0
  /** What the received text ends with. */
  #tail = ''
  #head = ''
  /** Length of the whole answer; -1: it comes in chunks. */
  #length = -1
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined
  #follow: ((text: string) => void) | undefined
  #lost: Error | undefined

  private constructor({ hostname, port }: URL) {
    // Without the streams of Node.js, and with one buffer for all: what came is copied at once.
    const callback = (bytes: number, buffer: Uint8Array) => {
      this.#receive((buffer as Buffer).toString('latin1', 0, bytes))
      return true
    }
    const socket = connect({ host: hostname, port: Number(port), onread: { buffer: RECEIVED, callback } })
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the server closed the connection')))
  }

  static async open(url: URL): Promise<Connection> {
    const connection = new Connection(url)
    const socket = connection.#socket
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return connection
  }

  /** Resolves when the whole answer is here. */
  send(request: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(this.#lost)
      if (this.#waiting || this.#follow) return reject(new Error('a request is under way on this connection'))
      this.#waiting = { resolve, reject }
      this.#socket.write(request, 'latin1')
    })
  }

  /** For an answer that does not end. Resolves with its first text; what follows goes to the listener. */
  follow(request: string, listener: (text: string) => void): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve: () => undefined, reject }
      this.#follow = (text) => {
        this.#follow = listener
        resolve(text)
      }
      this.#socket.write(request, 'latin1')
    })
  }

  close() {
    this.#socket.destroy()
  }

  #receive(text: string) {
    if (this.#follow) this.#follow(text)
    else this.#take(text)
  }

  #take(text: string) {
    this.#parts.push(text)
    this.#received += text.length
    if (this.#head === '') this.#takeHead()
    if (this.#head === '') return
    if (this.#length >= 0 ? this.#received < this.#length : !this.#endsWithLastChunk(text)) return
    const all = this.#parts.length === 1 ? text : this.#parts.join('')
    const head = this.#head
    const waiting = this.#waiting
    this.#parts = []
    this.#received = 0
    this.#tail = ''
    this.#head = ''
    this.#waiting = undefined
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body: all.slice(head.length) })
  }

  #endsWithLastChunk(text: string) {
    this.#tail = text.length >= LAST_CHUNK.length ? text : this.#tail.slice(-LAST_CHUNK.length) + text
    return this.#tail.endsWith(LAST_CHUNK)
  }

  #takeHead() {
    const text = this.#parts.join('')
    const end = text.indexOf(END_OF_HEAD)
    if (end < 0) return
    this.#head = text.slice(0, end + END_OF_HEAD.length)
    const [, length] = /\r\ncontent-length: *(\d+)/i.exec(this.#head) ?? []
    const body = length ?? (this.#head.startsWith('HTTP/1.1 204') ? '0' : undefined)
    this.#length = body === undefined ? -1 : this.#head.length + Number(body)
    if (this.#length < 0 && !CHUNKED.test(this.#head))
      this.#fail(new Error(`an answer without a length: ${this.#head}`))
  }

  #fail(error: Error) {
    this.#lost ??= error
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(this.#lost)
    this.#socket.destroy()
  }
}
