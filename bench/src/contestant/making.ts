import { Stopwatch } from '../measure.js'
import { createServerOf20 } from './add-server.js'
import type { Mounted } from './mounts.js'

/** Makes a server of 20 tools and waits for Redis once; p50 in µs. */
export async function makeServers({ redis }: Mounted, { count }: { count: number }): Promise<number> {
  const watch = new Stopwatch()
  for (let server = 0; server < count; server++) {
    await watch.time(async () => {
      createServerOf20()
      await redis?.ping()
    })
  }
  return watch.latencies.p50
}
