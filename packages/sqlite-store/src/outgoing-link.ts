import { unlinkSync } from 'node:fs'
import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { lineOf } from './peer-messages.js'
import { remove } from './peers-folder.js'

/** Kept for a process that does not read, as one that was stopped. */
const MOST_BYTES = 1024 * 1024
const CLOSE_MS = 100
const RESYNC = lineOf({ kind: 'resync' })

/** What this process says to another one. What the other one does not read in time is left out, and it is told so. */
export class OutgoingLink {
  readonly peer: string
  readonly #socket: Socket
  readonly #closed: Promise<void>
  #isUp = false
  #hasMissed: boolean

  /** `hasMissed`: something was not said before. `whenClosed`: `wasUp` unless nobody was there. */
  constructor(
    { peer, address, own, hasMissed }: { peer: string; address: string; own: string; hasMissed: boolean },
    whenClosed: (wasUp: boolean) => void,
  ) {
    this.peer = peer
    this.#hasMissed = hasMissed
    const socket = (this.#socket = createConnection(address).unref())
    socket.on('connect', () => (this.#isUp = true))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Its process has ended, without a chance to remove it.
      if (error.code === 'ECONNREFUSED') remove(() => unlinkSync(address))
    })
    socket.on('drain', () => this.#catchUp())
    // Nothing is said here; but only who reads notices the end.
    socket.resume()
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        whenClosed(this.#isUp)
        this.#isUp = false
        resolve()
      })
    })
    socket.write(lineOf({ kind: 'hello', id: own }))
    this.#catchUp()
  }

  get isUp() {
    return this.#isUp
  }

  send(line: string) {
    const waiting = this.#socket.writableLength
    if (waiting + Buffer.byteLength(line) <= MOST_BYTES) return void this.#socket.write(line)
    this.#hasMissed = true
    if (waiting === 0) this.#catchUp()
  }

  close(): Promise<void> {
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_MS)
    this.#socket.end(lineOf({ kind: 'bye' }), () => this.#socket.destroy())
    return this.#closed.finally(() => clearTimeout(timer))
  }

  #catchUp() {
    if (!this.#hasMissed) return
    this.#hasMissed = false
    this.#socket.write(RESYNC)
  }
}
