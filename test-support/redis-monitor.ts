import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { waitFor } from './wait-for.js'

/** A command that a Redis was given: by the address of a connection, or by `lua`. */
export type MonitoredCommand = { source: string; words: readonly string[] }

export interface RedisMonitor extends AsyncDisposable {
  /** All commands up to now. `client`: a connection of the test. */
  commands(client: { echo(text: string): Promise<unknown> }): Promise<readonly MonitoredCommand[]>
}

/** What a Redis is asked. Not through ioredis, which mixes up replies when something is asked in the moment that MONITOR begins. */
export async function monitorRedis(url: string): Promise<RedisMonitor> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const lines = createInterface({ input: socket })
  const commands: MonitoredCommand[] = []
  lines.on('line', (line) => {
    const [, source, rest = ''] = /^\+[\d.]+ \[\d+ (\S+)\] (.*)$/.exec(line) ?? []
    if (source === undefined) return
    const words = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word)
    commands.push({ source, words })
  })
  socket.write('MONITOR\r\n')
  await once(lines, 'line')
  return {
    async commands(client) {
      const last = randomUUID()
      await client.echo(last)
      await waitFor(() => commands.some(({ words }) => words.includes(last)))
      return commands
    },
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}
