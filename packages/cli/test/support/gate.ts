import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** A way to a server on loopback. What passes is counted, both ways together; it may end within any byte. */
export class Gate implements AsyncDisposable {
  bytes = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #endsAt = Number.POSITIVE_INFINITY
  #onEnd: () => void = () => undefined

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const server = connect(port, '127.0.0.1')
      this.#join(client, server)
      this.#join(server, client)
    })
  }

  static async before(url: string): Promise<Gate> {
    const gate = new Gate(Number(new URL(url).port))
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    return gate
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Counts anew. After so many bytes nothing passes any more, and `onEnd` is called at once. */
  open(endsAt = Number.POSITIVE_INFINITY, onEnd: () => void = () => undefined) {
    this.bytes = 0
    this.#endsAt = endsAt
    this.#onEnd = onEnd
  }

  async [Symbol.asyncDispose]() {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(from: Socket, to: Socket) {
    this.#sockets.add(from)
    from.on('error', () => undefined)
    from.once('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
    from.on('data', (chunk: Buffer) => {
      const left = this.#endsAt - this.bytes
      if (left <= 0) return
      this.bytes += chunk.length
      to.write(chunk.subarray(0, left))
      if (chunk.length >= left) this.#onEnd()
    })
  }
}
