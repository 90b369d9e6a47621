// Hours of mixed calls, with nodes that die and are restarted: does anything grow that should not, and does what is promised hold?

import { parseArgs } from 'node:util'
import { soak } from './soak-run.js'
import type { SoakReport } from './soak-run.js'

const usage = `usage: npm run soak -- --minutes N [--seed N] [--round 60] [--limit 5] [--snapshots DIR]

  --minutes N      how long (default 60)
  --seed N         what the random numbers begin with (default: a random one)
  --round S        seconds of calls, after which all is judged and measured (default 60)
  --limit P        growth that is still called flat, in percent per hour (default 5)
  --snapshots DIR  write the heap of the measured node into this folder, after the warm-up and at the end, and tell what grew

SIGTERM ends it after the round that is played, with a report of what there was. The last line is JSON. Exit code 1: a memory grows by more than that, or something that is promised did not hold; 2: wrong usage.`

/** Of what grew, the largest. */
const GROWN_SHOWN = 25

const options = readOptions()
console.log(
  `soak --minutes ${options.minutes} --seed ${options.seed} --round ${options.round} --limit ${options.limit}`,
)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
const report = await soak({ ...options, stop: stop.signal }, (line) => console.log(line))
console.log(table(report))
for (const { what, bytes, count } of report.grown.slice(0, GROWN_SHOWN))
  console.log(`${(bytes / 1024).toFixed(0).padStart(8)} KiB more, ${count} more: ${what}`)
const { samples: _samples, grown: _grown, ...summary } = report
console.log(JSON.stringify(summary))
process.exit(report.passed ? 0 : 1)

function table({ trends, warmUpMs, ...about }: SoakReport): string {
  const unit = (name: string, value: number) =>
    name.startsWith('keys') ? value.toFixed(0) : `${(value / 2 ** 20).toFixed(1)} MiB`
  const rows = Object.entries(trends).map(([name, { mean, perHour, from, to, verdict }]) => {
    const interval = `${from.toFixed(1)} to ${to.toFixed(1)}`
    return [name, unit(name, mean), `${perHour.toFixed(1)} %`, interval, verdict]
  })
  const head = ['', 'mean', 'per hour', '95 % interval', 'verdict']
  const widths = head.map((_text, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
  const lines = [head, ...rows].map((row) =>
    row.map((text, column) => text.padEnd(widths[column]!)).join('  '),
  )
  return [
    '',
    `${about.calls} calls in ${about.rounds} rounds, ${about.kills} kills, ${about.restarts} restarts, ${about.takeovers} takeovers, ${about.violations} violations`,
    `measured after a warm-up of ${Math.round(warmUpMs / 1000)} s, by least squares:`,
    ...(rows.length > 0 ? lines : ['too few rounds for a trend']),
    '',
  ].join('\n')
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '60' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
        round: { type: 'string', default: '60' },
        limit: { type: 'string', default: '5' },
        snapshots: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    return {
      minutes: positive('minutes', values.minutes),
      seed: positive('seed', values.seed),
      round: positive('round', values.round),
      limit: positive('limit', values.limit),
      snapshots: values.snapshots,
    }
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (Number.isFinite(number) && number > 0) return number
  throw new Error(`--${name} must be a number above 0, not '${text}'`)
}
