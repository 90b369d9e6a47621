import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CliError, messageOf } from './errors.js'

/** Resolves to where it listens: `http://127.0.0.1:3000`. */
export async function listening(server: Server, port: number, host: string): Promise<string> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw new CliError(
      `cannot listen on ${host}:${port} (${messageOf(error)}).`,
      ['Choose another --port; 0 takes a free one'],
      { cause: error },
    )
  }
  const { address, family, port: taken } = server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`
}
