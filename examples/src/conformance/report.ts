import { escapeControls } from '@mcp-durable/core/inspect'
import { formatTable } from '../table.js'
import type { Failure, SuiteResult } from './run-suite.js'

export interface Run extends SuiteResult {
  arrangement: string
  suite: string
}

const rewrite = (text: string): boolean => process.stdout.write(`\r\u001b[2K${text}`)

/** One line for each run: on a terminal it tells the scenario at work, and in the end the outcome. */
export function showProgress(title: string): {
  scenario: (name: string) => void
  done: (result: SuiteResult) => void
} {
  const live = process.stdout.isTTY
  if (live) rewrite(`${title} …`)
  return {
    scenario: (name) => {
      if (live) rewrite(`${title} … ${name}`)
    },
    done: ({ passed, failed, seconds }) => {
      const outcome = `${title}: ${passed} passed, ${failed} failed (${seconds.toFixed(1)} s)`
      if (live) rewrite(`${outcome}\n`)
      else console.log(outcome)
    },
  }
}

/** Prints the table, the failures, where to look, and as the last line the sums. True if all passed. */
export function report(runs: readonly Run[], folder: string): boolean {
  const rows = runs.map(({ arrangement, suite, passed, failed, failures }) => [
    arrangement,
    suite,
    String(passed),
    String(failed),
    summary(failures),
  ])
  console.log(
    `\n${formatTable(['arrangement', 'suite', 'passed', 'failed', 'failing checks'], rows, ['passed', 'failed'])}`,
  )
  for (const { arrangement, suite, failures } of runs) {
    if (failures.length === 0) continue
    console.log(`\n${arrangement} · ${suite}`)
    for (const { check, reason } of failures)
      console.log(`  ${check} (${escapeControls(reason.slice(0, 300))})`)
  }
  const passed = runs.reduce((sum, run) => sum + run.passed, 0)
  const failed = runs.reduce((sum, run) => sum + run.failed, 0)
  const good = failed === 0 && runs.length > 0 && runs.every((run) => run.passed > 0)
  if (!good) console.log(`\nwhat the suites wrote is in ${folder}`)
  console.log(`\n${passed} passed, ${failed} failed`)
  return good
}

function summary([first, ...others]: readonly Failure[]): string {
  if (first === undefined) return ''
  return others.length === 0 ? first.check : `${first.check} and ${others.length} more`
}
