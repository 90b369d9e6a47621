// Real processes, a random mix of calls, and faults; then whether everything that is promised has held.

import { parseArgs } from 'node:util'
import { chaos } from './chaos-run.js'
import { faultKinds } from './faults.js'
import { mutants } from './mutants.js'
import { mutations } from './mutations.js'

const usage = `usage: npm run chaos -- --seconds S --seed N [--nodes 3] [--store redis|cluster|sqlite]
                    [--fault kill|pause|successor|store|proxy|all] [--client ts1|ts2] [--seal] [--operated] [--versions]

  --seconds S   how long faults and calls go on (default 60)
  --seed N      what the random numbers begin with (default: a random one)
  --nodes N     server processes (default 3)
  --store S     redis: one server; cluster: three masters; sqlite: one file (default redis)
  --fault F     kill: SIGKILL to a node · pause: SIGSTOP beyond its lease, then SIGCONT · successor: a pause, and SIGKILL to
                another node when that may have taken over · store: kill -9 to a Redis, and start it again; of a file, hold
                its lock · proxy: cut connections · all of them (default all); several with commas
  --client C    the official client in sessions: ts1 of @modelcontextprotocol/sdk, ts2 of @modelcontextprotocol/client (default
                ts1). Beside it there are always clients without sessions (2026-07-28)
  --operated    beside them a server with quotas and tools for tasks, and an operator who cancels, resumes, retries and forks
                its calls (not on a cluster, which may lose places)
  --versions    beside them a server with a tool of which nodes have different versions, so that calls are parked, and an operator
                who has some tried again (not on a cluster, either)
  --seal        what is put into the store is sealed, and nothing else is taken from it

The last line is JSON. Exit code 1: something that is promised did not hold; 2: wrong usage.`

const options = readOptions()
const repeat = Object.entries({ ...options, fault: options.faults.join() })
  .filter(([name, value]) => name !== 'faults' && value !== undefined)
  .filter(([, value]) => value !== false)
  .map(([name, value]) => (value === true ? `--${name}` : `--${name} ${String(value)}`))
  .join(' ')

console.log(`chaos ${repeat}`)
const report = await chaos(options, (line) => console.log(line))
if (report.violations > 0) console.log(`to repeat it: npm run chaos -- ${repeat}`)
console.log(JSON.stringify(report))
process.exit(report.violations > 0 ? 1 : 0)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
        nodes: { type: 'string', default: '3' },
        store: { type: 'string', default: 'redis' },
        fault: { type: 'string', default: 'all' },
        client: { type: 'string', default: 'ts1' },
        seal: { type: 'boolean', default: false },
        operated: { type: 'boolean', default: false },
        versions: { type: 'boolean', default: false },
        mutation: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    for (const beside of ['operated', 'versions'] as const)
      if (values[beside] && values.store === 'cluster') throw new Error(`--${beside} is not for a cluster`)
    return {
      seconds: positive('seconds', values.seconds),
      seed: positive('seed', values.seed),
      nodes: positive('nodes', values.nodes),
      store: choice('store', values.store, ['redis', 'cluster', 'sqlite'] as const),
      seal: values.seal,
      operated: values.operated,
      versions: values.versions,
      client: choice('client', values.client, ['ts1', 'ts2'] as const),
      faults:
        values.fault === 'all'
          ? faultKinds
          : values.fault.split(',').map((kind) => choice('fault', kind, faultKinds)),
      mutation:
        values.mutation === undefined
          ? undefined
          : choice('mutation', values.mutation, [...mutations, ...mutants]),
    }
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new Error(`--${name} must be a whole number above 0, not '${text}'`)
}

function choice<const T extends string>(name: string, text: string, choices: readonly T[]): T {
  const chosen = choices.find((candidate) => candidate === text)
  if (chosen !== undefined) return chosen
  throw new Error(`--${name} must be one of ${choices.join(', ')}, not '${text}'`)
}
