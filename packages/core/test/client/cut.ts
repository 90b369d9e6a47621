import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** A TCP proxy to several nodes, in turn, whose connections a test can cut as a dying node does. */
export interface Cutter extends AsyncDisposable {
  readonly url: string
  /** Every connection breaks at once. */
  cut(): void
  /** The next `count` connections break when the node has begun to answer, before the client has read any of it. */
  cutAnswers(count: number): void
}

export async function cutter(urls: readonly string[]): Promise<Cutter> {
  const sockets = new Set<Socket>()
  const targets = urls.map((url) => Number(new URL(url).port))
  let turn = 0
  let answersToCut = 0
  const server = createServer((client) => {
    const node = connect(targets[turn++ % targets.length] ?? 0, '127.0.0.1')
    for (const socket of [client, node]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        client.destroy()
        node.destroy()
      })
    }
    client.pipe(node)
    node.once('data', (first) => {
      if (answersToCut > 0) {
        answersToCut--
        client.resetAndDestroy()
        return
      }
      client.write(first)
      node.pipe(client)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    cut,
    cutAnswers(count) {
      // Connections that are kept alive are past their first answer.
      cut()
      answersToCut = count
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    },
  }
}
