import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { end, own } from '../processes.js'
import type { Suite } from './suites.js'
import type { Toolbox } from './toolbox.js'

export interface Failure {
  /** As in `tools-call-error: ToolsCallError`. */
  check: string
  reason: string
}

export interface SuiteResult {
  passed: number
  failed: number
  failures: Failure[]
  seconds: number
}

interface Check {
  name: string
  errorMessage?: string
  status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'
}

const deadlineMs = 180_000

/** Runs one suite against `url`; its output and its checks stay in `folder`. */
export async function runSuite(
  { version, args, expected, without }: Suite,
  toolbox: Toolbox,
  { url, folder, onScenario }: { url: string; folder: string; onScenario: (name: string) => void },
): Promise<SuiteResult> {
  await mkdir(folder, { recursive: true })
  const started = Date.now()
  const child = spawn(
    toolbox.node,
    [toolbox.suite(version), 'server', '--url', url, ...args, '--output-dir', join(folder, 'checks')],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  own(child)
  const timer = setTimeout(() => void end(child, 'SIGKILL'), deadlineMs)
  const log = createWriteStream(join(folder, 'output.txt'))
  child.stderr.pipe(log, { end: false })
  const total = { passed: -1, failed: -1 }
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.write(`${line}\n`)
    const scenario = /^=== Running scenario: (\S+) ===$/.exec(line)?.[1]
    if (scenario !== undefined) onScenario(scenario)
    const sums = /^Total: (\d+) passed, (\d+) failed$/.exec(line)
    if (sums !== null) Object.assign(total, { passed: Number(sums[1]), failed: Number(sums[2]) })
  })
  await once(child, 'close')
  clearTimeout(timer)
  log.end()
  const result = judge(await readChecks(join(folder, 'checks')), total, expected, without)
  return { ...result, seconds: (Date.now() - started) / 1000 }
}

/** The result where a suite could not even begin: all of its checks failed. */
export function notRun({ expected }: Suite, reason: string): SuiteResult {
  return { passed: 0, failed: expected, failures: [{ check: 'the suite did not run', reason }], seconds: 0 }
}

/** The checks that the suite wrote down, by scenario. */
async function readChecks(folder: string): Promise<Map<string, Check[]>> {
  const names = await readdir(folder).catch(() => [])
  const read = names.map(async (name): Promise<[string, Check[]]> => {
    const checks = JSON.parse(await readFile(join(folder, name, 'checks.json'), 'utf8')) as Check[]
    return [name.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, ''), checks]
  })
  return new Map((await Promise.all(read)).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * What the suite wrote must agree with the sums it printed, and be as much as it is known to be: a suite that
 * ended early, or that only warned where it should have checked, has not passed.
 */
export function judge(
  scenarios: ReadonlyMap<string, readonly Check[]>,
  printed: { passed: number; failed: number },
  expected: number,
  without?: string,
): Omit<SuiteResult, 'seconds'> {
  const all = [...scenarios].flatMap(([scenario, checks]) => checks.map((check) => ({ scenario, ...check })))
  const of = (status: Check['status']) => all.filter((check) => check.status === status)
  const isJudged = ({ scenario }: { scenario: string }) =>
    without === undefined || !scenario.startsWith(without)
  const passed = of('SUCCESS').filter(isJudged).length
  const failures = of('FAILURE')
    .filter(isJudged)
    .map(({ scenario, name, errorMessage: reason = 'no reason given' }) => {
      return { check: `${scenario}: ${name}`, reason }
    })
  let failed = failures.length
  if (printed.passed !== of('SUCCESS').length || printed.failed !== of('FAILURE').length) {
    const reason =
      printed.passed < 0 ? 'it did not come to its end' : 'it printed other sums than it wrote down'
    failures.push({ check: 'the suite itself', reason })
    failed++
  }
  const missing = expected - passed - of('FAILURE').filter(isJudged).length
  if (missing > 0) {
    const unsure = of('WARNING').map(({ scenario, name }) => `${scenario}: ${name}`)
    const reason = unsure.length === 0 ? 'they did not run' : `it only warned: ${unsure.join(', ')}`
    failures.push({ check: `${missing} of ${expected} checks are missing`, reason })
    failed += missing
  }
  return { passed, failed, failures }
}
