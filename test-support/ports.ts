import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

const FIRST = 12_000
const LAST = 32_000

/**
 * A free TCP port on 127.0.0.1, below the range from which systems take the source ports of outgoing
 * connections, and given to nobody else on this machine until this process ends. So a port stays free
 * before its server listens and while that is dead, and a client that dials a dead server can't connect
 * to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if ((await reserve(port)) && (await canListen(port))) return port
  }
}

/** Takes the UDP port of that number, which nobody uses: the system gives it to one process, and frees it when that ends. */
function reserve(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4').unref()
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      settle(error, resolve, reject)
    })
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true))
  })
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => settle(error, resolve, reject))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

function settle(
  error: NodeJS.ErrnoException,
  resolve: (isFree: boolean) => void,
  reject: (error: Error) => void,
) {
  if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
  else reject(error)
}
