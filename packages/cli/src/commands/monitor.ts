import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import { untilInterrupted } from '../look/follow.js'
import { MonitorModel } from '../monitor/model.js'
import { Monitor } from '../monitor/monitor.js'
import { PlainLines } from '../monitor/plain-lines.js'
import { snapshotJson } from '../monitor/snapshot-json.js'
import type { Snapshot } from '../monitor/snapshot.js'
import { readWebOptions, webOptions } from '../web/options.js'

export const monitor: Command = {
  name: 'monitor',
  arity: [0, 0],
  summary: 'a live view of nodes, open calls, sessions, rates and takeovers',
  details:
    'Keys: Tab goes to the next table, Enter opens a session or call and follows it, / filters, s sorts, c clears, q quits,\n' +
    '? tells the rest. Where there is no terminal, a line for each change; with --json, a line of JSON for each look.\n' +
    'With --web, a page for browsers: the same, calls of any status, and their timelines drawn.',
  options: {
    interval: { type: 'string', value: 'MS', help: 'look again after so long (default: 1000)' },
    sessions: { type: 'string', value: 'N', help: 'look at the N last used sessions (default: 200)' },
    lease: { type: 'string', value: 'MS', help: 'the lease that the nodes are set to (default: 10000)' },
    count: { type: 'string', value: 'N', help: 'without a terminal: end after N looks' },
    ...webOptions,
  },
  async run(context) {
    const { output, privacy, values } = context
    const everyMs = numberOption(values, 'interval', 1000, 100, 3_600_000)
    const looks = numberOption(values, 'count', Number.MAX_SAFE_INTEGER, 1)
    const leaseMs = numberOption(values, 'lease', 10_000, 1)
    const web = readWebOptions(context)
    const connected = await context.connect({ patient: true })
    const { inspect, where, area } = connected
    const store = context.store(connected)
    const model = new MonitorModel(inspect, store, {
      where,
      privacy,
      sessions: numberOption(values, 'sessions', 200, 1),
      leaseMs,
    })
    const interrupted = untilInterrupted()
    if (web) {
      // No other command has to load it.
      const { serveWeb } = await import('../web/serve.js')
      return serveWeb(web, { context, connected, store, model, everyMs, leaseMs }, interrupted)
    }
    if (process.stdin.isTTY && output.stream.isTTY && !output.json && values['count'] === undefined) {
      const services = { inspect, store, model, privacy, area, everyMs }
      return new Monitor(services, process.stdin, output).run(interrupted)
    }
    const lines = new PlainLines(privacy)
    const print = (snapshot: Snapshot) => {
      if (output.json) output.jsonLine(snapshotJson(snapshot, privacy))
      else for (const line of lines.lines(snapshot)) output.line(...line)
    }
    for (let look = 0; look < looks && !interrupted.aborted; look++) {
      if (look > 0) await sleep(everyMs, undefined, { signal: interrupted }).catch(() => undefined)
      if (!interrupted.aborted) print(await model.refresh())
    }
  },
}
