import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Random } from './random.js'

const TRIES = 20
const TRY_AGAIN_MS = 100

/** A balancer of TCP connections before the nodes, which can cut them. It knows no HTTP and no sessions. */
export class TcpRouter implements AsyncDisposable {
  readonly #server: Server
  readonly #ports: () => readonly number[]
  readonly #pairs = new Set<Pair>()
  #turn = 0

  private constructor(ports: () => readonly number[]) {
    this.#ports = ports
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: false }, (client) => {
      client.on('error', () => undefined)
      this.#dial(client, TRIES)
    })
  }

  /** `ports`: where the nodes listen now. */
  static async start(ports: () => readonly number[]): Promise<TcpRouter> {
    const router = new TcpRouter(ports)
    await new Promise<void>((resolve) => router.#server.listen(0, '127.0.0.1', resolve))
    return router
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`)
  }

  /** Cuts some of the connections: at once, or in the middle of what the node sends next. */
  cut(random: Random): void {
    for (const pair of this.#pairs) {
      if (!random.chance(0.5)) continue
      if (random.chance(0.5)) breakOff(pair)
      else cutWithinNext(pair, random.between(1, 200))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) breakOff(pair)
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #dial(client: Socket, tries: number) {
    if (client.destroyed || tries === 0) return void client.destroy()
    const ports = this.#ports()
    const port = ports[this.#turn++ % ports.length]
    const again = () => void setTimeout(() => this.#dial(client, tries - 1), TRY_AGAIN_MS)
    if (port === undefined) return again()
    const upstream = connect(port, '127.0.0.1')
    upstream.once('error', again)
    upstream.once('connect', () => {
      upstream.off('error', again)
      this.#join(client, upstream)
    })
  }

  #join(client: Socket, upstream: Socket) {
    const pair: Pair = { client, upstream, ending: false }
    this.#pairs.add(pair)
    upstream.on('error', () => client.resetAndDestroy())
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true)
      socket.once('close', () => {
        this.#pairs.delete(pair)
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    upstream.pipe(client)
  }
}

/** `ending`: what the node sends next is the last that the client gets, and not all of it. */
type Pair = { client: Socket; upstream: Socket; ending: boolean }

function breakOff({ client, upstream }: Pair) {
  client.resetAndDestroy()
  upstream.destroy()
}

function cutWithinNext(pair: Pair, bytes: number) {
  // A node that is paused sends nothing for long. Cut twice meanwhile, its client would get the same bytes twice.
  if (pair.ending) return
  pair.ending = true
  const { client, upstream } = pair
  upstream.unpipe(client)
  upstream.once('data', (chunk: Buffer) => {
    client.write(chunk.subarray(0, bytes), () => breakOff(pair))
  })
  upstream.resume()
}
