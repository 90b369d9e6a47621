import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rival } from './comparison/rival.js'
import { ours } from './comparison/ours.js'
import { requireFastmcp } from './comparison/python.js'
import { runTask } from './comparison/run-task.js'
import type { Contender, Outcome } from './comparison/run-task.js'
import { exitOnSignal, fail, messageOf, readFlags } from './cli.js'
import { findRedis } from './local-redis.js'
import { formatTable } from './table.js'

const usage = `usage: npm run comparison [-- [--python FILE] [--steps N] [--delay MS]]

The same tool as a task of two servers: of this project, and of FastMCP with its tasks on Docket. Two nodes of each stand on one
Redis behind the same load balancer, and the same client of FastMCP calls the tool. The node that runs it is killed (SIGKILL) in
the middle of a step. Tells when the client had its result, and how often each step was done. The second takes up to six minutes.

  --python FILE   a Python that has both (default python3): pip install fastmcp==4.1.4 fastmcp-tasks==4.1.4
  --steps N       steps of the tool (default 6)
  --delay MS      how long each of them takes (default 500)`

const { values } = readFlags(usage, {
  options: {
    python: { type: 'string', default: 'python3' },
    steps: { type: 'string', default: '6' },
    delay: { type: 'string', default: '500' },
  },
})

exitOnSignal()
try {
  const { python } = values
  await requireFastmcp(python)
  const args = { id: 'x', steps: Number(values.steps), delayMs: Number(values.delay) }
  const outcomes: [string, Outcome][] = []
  for (const contender of [ours, rival(python)]) {
    const outcome = await run(contender, args)
    outcomes.push([contender.name, outcome])
    console.log(`${contender.name}: ${outcome.done.join(' ')}`)
  }
  console.log(`\n${table(outcomes)}`)
  process.exitCode = outcomes.every(([, { hasResult }]) => hasResult) ? 0 : 1
} catch (error) {
  fail(messageOf(error))
}

async function run(contender: Contender, args: { id: string; steps: number; delayMs: number }) {
  console.log(`${contender.name} …`)
  await using redis = await findRedis()
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-comparison-'))
  try {
    return await runTask(contender, { ...args, redisUrl: redis.url, folder, python: values.python })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function table(outcomes: readonly [string, Outcome][]): string {
  const rows = outcomes.map(([name, { hasResult, secondsAfterKill, done, steps }]) => [
    name,
    hasResult ? secondsAfterKill.toFixed(1) : 'none',
    String(done.length),
    repeated(done).join(' ') || 'none',
    String(steps),
  ])
  return formatTable(['server', 'result after (s)', 'steps done', 'done more than once', 'steps'], rows, [])
}

function repeated(done: readonly string[]): string[] {
  return [...new Set(done.filter((step, index) => done.indexOf(step) !== index))]
}
