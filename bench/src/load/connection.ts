import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The body of an answer in chunks is whole when the empty chunk has come. */
const LAST_CHUNK = '\r\n0\r\n\r\n'

export type Answer = { status: number; head: string; body: string }

/**
 * One HTTP/1.1 connection that is kept alive, one request at a time. It parses no more than it must to find the end of
 * an answer, so that the load generator is not what is measured. Bodies keep the marks of their chunks.
 */
export class Connection {
  readonly #socket: Socket
  #received = ''
  #bodyAt = -1
  /** Length of the whole answer; -1: it comes in chunks. */
  #length = -1
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined
  #lost: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the server closed the connection')))
  }

  static async open({ hostname, port }: URL): Promise<Connection> {
    const socket = connect(Number(port), hostname)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new Connection(socket)
  }

  /** Resolves when the whole answer is here. */
  send(request: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(this.#lost)
      if (this.#waiting) return reject(new Error('a request is under way on this connection'))
      this.#waiting = { resolve, reject }
      this.#socket.write(request, 'latin1')
    })
  }

  close() {
    this.#socket.destroy()
  }

  #take(text: string) {
    this.#received = this.#received === '' ? text : this.#received + text
    if (this.#bodyAt < 0) this.#takeHead()
    if (this.#bodyAt < 0) return
    const whole =
      this.#length < 0 ? this.#received.endsWith(LAST_CHUNK) : this.#received.length >= this.#length
    if (!whole) return
    const received = this.#received
    const bodyAt = this.#bodyAt
    const waiting = this.#waiting
    this.#received = ''
    this.#bodyAt = -1
    this.#waiting = undefined
    const status = Number(received.slice(9, 12))
    waiting?.resolve({ status, head: received.slice(0, bodyAt), body: received.slice(bodyAt) })
  }

  #takeHead() {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    this.#bodyAt = end + 4
    const head = this.#received.slice(0, end)
    const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
    const empty = /^HTTP\/1.1 204/.test(head)
    if (length === undefined && !empty && !/\r\ntransfer-encoding: *chunked/i.test(head))
      this.#fail(new Error(`an answer without a length: ${head}`))
    this.#length = empty ? this.#bodyAt : length === undefined ? -1 : this.#bodyAt + Number(length)
    // What looks for the last chunk must not begin in the head.
    if (this.#length < 0) this.#bodyAt -= 2
  }

  #fail(error: Error) {
    this.#lost ??= error
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(error)
    this.#socket.destroy()
  }
}
