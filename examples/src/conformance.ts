import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { choiceFlag, exitOnSignal, fail, messageOf, readFlags } from './cli.js'
import { arrangements, hosts, nameOf, startArrangement, type Arrangement } from './conformance/arrangement.js'
import { report, showProgress, type Run } from './conformance/report.js'
import { notRun, runSuite, type SuiteResult } from './conformance/run-suite.js'
import { suites, type Suite } from './conformance/suites.js'
import { openToolbox, type Toolbox } from './conformance/toolbox.js'
import { adapters } from './listen.js'
import { findRedis } from './local-redis.js'

const versions = [...new Set(suites.map(({ version }) => version))]
const usage = `usage: npm run conformance [-- [--host H …] [--adapter A …] [--nodes N …] [--suite VERSION …]]

Runs the official MCP conformance suites against the everything server on Redis: with each adapter, on one
node and on two nodes behind the load balancer; as a server that exists, with sessions and without, wrapped and
behind proxies, on two nodes. That server alone, to compare, with --host alone. Uses the Redis of REDIS_URL, or starts one of its own.

  --host H          only ${hosts.join(', ')}
  --adapter A       only hono, express or node
  --nodes N         only 1 or 2 nodes
  --suite VERSION   only ${versions.join(' or ')}`

const { values } = readFlags(usage, {
  options: {
    host: {
      type: 'string',
      multiple: true,
      default: ['server', 'handler', 'upstream', 'sessionless-handler', 'sessionless-upstream'],
    },
    adapter: { type: 'string', multiple: true, default: [...adapters] },
    nodes: { type: 'string', multiple: true, default: ['1', '2'] },
    suite: { type: 'string', multiple: true, default: versions },
  },
})
const chosenHosts = values.host.map((text) => choiceFlag('host', text, hosts, usage))
const chosenAdapters = values.adapter.map((text) => choiceFlag('adapter', text, adapters, usage))
const chosenNodes = values.nodes.map((text) => Number(choiceFlag('nodes', text, ['1', '2'], usage)))
const chosenVersions = values.suite.map((text) => choiceFlag('suite', text, versions, usage))

exitOnSignal()
try {
  const all = arrangements(chosenHosts, chosenAdapters, chosenNodes)
  const chosen = suites.filter(({ version }) => chosenVersions.includes(version))
  process.exitCode = (await runAll(all, chosen)) ? 0 : 1
} catch (error) {
  fail(messageOf(error))
}

async function runAll(all: readonly Arrangement[], chosen: readonly Suite[]): Promise<boolean> {
  const toolbox = await openToolbox()
  await using redis = await findRedis()
  console.log(`Redis: ${redis.origin}`)
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-conformance-'))
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', removeFolder)
  const runs: Run[] = []
  for (const arrangement of all) {
    runs.push(...(await runArrangement(arrangement, chosen, { toolbox, redisUrl: redis.url, folder })))
  }
  const passed = report(runs, folder)
  // What a failing suite wrote is there to be read.
  if (!passed) process.off('exit', removeFolder)
  return passed
}

async function runArrangement(
  arrangement: Arrangement,
  chosen: readonly Suite[],
  { toolbox, redisUrl, folder }: { toolbox: Toolbox; redisUrl: string; folder: string },
): Promise<Run[]> {
  const fitting = chosen.filter(({ hosts: fit }) => fit?.includes(arrangement.host) ?? true)
  const runs: Run[] = []
  const note = (suite: Suite, result: SuiteResult): void =>
    void runs.push({ arrangement: nameOf(arrangement), suite: suite.name, ...result })
  try {
    await using running = await startArrangement(arrangement, redisUrl)
    for (const suite of fitting) {
      const progress = showProgress(`${nameOf(arrangement)} · ${suite.name}`)
      const expected = suite.expected - (suite.fewer?.[arrangement.host] ?? 0)
      const result = await runSuite({ ...suite, expected }, toolbox, {
        url: running.url,
        folder: join(
          folder,
          `${arrangement.host}-${arrangement.adapter}-${arrangement.nodes}-${suite.name.replaceAll(' ', '-')}`,
        ),
        onScenario: progress.scenario,
      })
      progress.done(result)
      note(suite, result)
    }
  } catch (error) {
    // The other arrangements still have something to tell.
    for (const suite of fitting.slice(runs.length)) note(suite, notRun(suite, messageOf(error)))
  }
  return runs
}
