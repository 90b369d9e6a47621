import type { Socket } from 'node:net'
import type { LinkMessage, Message } from './peer-messages.js'

/** Of one line. */
const MOST_CHARACTERS = 4 * 1024 * 1024

export type IncomingEvents = {
  hello: (peer: string) => void
  message: (peer: string, message: Message) => void
  /** It could not say everything, or has ended without having said that it would. */
  missed: () => void
  closed: () => void
}

/** What another process says to this one. */
export class IncomingLink {
  readonly #socket: Socket
  readonly #events: IncomingEvents
  #peer: string | undefined
  #hasLeft = false
  #rest = ''

  constructor(socket: Socket, events: IncomingEvents) {
    this.#socket = socket.unref()
    this.#events = events
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#read(text))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (this.#peer !== undefined && !this.#hasLeft) events.missed()
      events.closed()
    })
  }

  close() {
    this.#hasLeft = true
    this.#socket.destroy()
  }

  #read(text: string) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#hear(line)
    if (this.#rest.length > MOST_CHARACTERS) this.#socket.destroy()
  }

  #hear(line: string) {
    const message = parsed(line)
    if (!message) return void this.#socket.destroy()
    switch (message.kind) {
      case 'hello':
        this.#peer = message.id
        return this.#events.hello(message.id)
      case 'resync':
        return this.#events.missed()
      case 'bye':
        this.#hasLeft = true
        return undefined
      default:
        return this.#peer === undefined ? undefined : this.#events.message(this.#peer, message)
    }
  }
}

function parsed(line: string): Message | LinkMessage | undefined {
  try {
    const message = JSON.parse(line) as unknown
    return typeof message === 'object' && message !== null ? (message as Message | LinkMessage) : undefined
  } catch {
    return undefined
  }
}
