import { Stopwatch } from '../measure.js'
import { Client } from './client.js'
import { Connection } from './connection.js'

export type RebuildJob = { from: string; to: string; count: number }

/**
 * What the first call of a session takes longer on a node that does not have it in memory than the second one, and what
 * a request takes longer in which that node makes such a server and waits for one PING than one in which it does nothing.
 * Each follows a call of a session that the node has, so that all of them find the processes alike: what comes after a
 * pause takes longer, whatever it is, and the first call would make the second one's code warm. In µs, from p50s.
 */
export async function rebuild({ from, to, count }: RebuildJob): Promise<{ rebuilt: number; made: number }> {
  const begins = await Client.connect(new URL(from))
  // Connections for all sessions, else the first call would pay for one.
  const client = await Client.connect(new URL(to))
  const before = await Client.connect(new URL(to))
  const plain = await Connection.open(new URL(to))
  const get = (path: string) => plain.send(`GET ${path} HTTP/1.1\r\nhost: ${new URL(to).host}\r\n\r\n`)
  const first = new Stopwatch()
  const second = new Stopwatch()
  const make = new Stopwatch()
  const nothing = new Stopwatch()
  const time = async (stopwatch: Stopwatch, request: () => Promise<unknown>) => {
    await before.add()
    await stopwatch.time(request)
  }
  for (let session = 0; session < count; session++) {
    await begins.initialize()
    client.sessionId = begins.sessionId
    await time(first, () => client.add())
    await time(second, () => client.add())
    await time(make, () => get('/make'))
    await time(nothing, () => get('/nothing'))
  }
  for (const connection of [client, begins, before, plain]) connection.close()
  const p50 = ({ latencies }: Stopwatch) => latencies.p50
  return { rebuilt: p50(first) - p50(second), made: p50(make) - p50(nothing) }
}
