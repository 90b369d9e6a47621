// One contestant: `node contestant.js KIND [REDIS-URL | FILE] [SETTINGS]`. Prints `listening on URL, commands on URL`.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { serve } from '@hono/node-server'
import type { AddressInfo } from 'node:net'
import { serveCommands } from './commands.js'
import { hanging } from './contestant/hanging.js'
import { woken } from './contestant/napping.js'
import { insertsPerSecond } from './contestant/inserts.js'
import { mount } from './contestant/mounts.js'
import type { Kind, Settings } from './contestant/mounts.js'
import { notify } from './contestant/notifying.js'
import type { NotifyJob } from './contestant/notifying.js'
import { Profiler } from './contestant/profiler.js'
import { countRoundTrips } from './contestant/round-trips.js'
import { stepsPerSecond, xaddsPerSecond } from './contestant/steps.js'
import type { StepsJob } from './contestant/steps.js'

const [kind, place = '', settings = '{}'] = process.argv.slice(2)
const mounted = mount(kind as Kind, place, JSON.parse(settings) as Settings)
const { app, mcp, redis } = mounted
const profiler = new Profiler()

// As `node --expose-gc` does.
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const commands = {
  /** CPU time of this process so far, in µs. */
  cpu: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  /** Bytes in use when everything that can be collected is. */
  memory: async () => {
    for (let turn = 0; turn < 4; turn++) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const { heapUsed, external, rss } = process.memoryUsage()
    return { used: heapUsed + external, rss }
  },
  startProfile: () => profiler.start(),
  stopProfile: ({ file }: { file: string }) => profiler.stop(file),
  steps: (job: StepsJob) => stepsPerSecond(mounted, job),
  xadds: (job: StepsJob) => xaddsPerSecond(place, job),
  inserts: (job: StepsJob) => insertsPerSecond(place, job),
  roundTrips: () => countRoundTrips(place),
  woken,
  notify: (job: NotifyJob) => notify(mounted, job),
  /** From now on the tool `hang` does not end here. */
  hang: () => void (hanging.wanted = true),
  /** How many of its calls there are. */
  hanging: () => hanging.now,
}
export type ContestantCommands = typeof commands
const commandsUrl = await serveCommands(commands)

const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (address: AddressInfo) => {
  console.log(`listening on http://127.0.0.1:${address.port}, commands on ${commandsUrl}`)
})

process.once('SIGTERM', () => {
  server.close()
  void Promise.resolve(mcp?.close({ graceMs: 100 })).then(() => {
    redis?.disconnect()
    process.exit(0)
  })
})
