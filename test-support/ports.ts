import { createServer } from 'node:net'

const FIRST = 12_000
const LAST = 32_000

/**
 * A free TCP port on 127.0.0.1, below the range from which systems take the source ports of outgoing
 * connections. So a port stays free while its server is dead, and a client that dials a dead server
 * can't connect to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await canListen(port)) return port
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
