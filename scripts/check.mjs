// All checks beside the tests: lint, format, types (tests included), package exports, dead code. Runs every one of
// them even when an earlier one fails.

import { join } from 'node:path'

import { root, run } from './run.mjs'

const published = ['packages/core', 'packages/redis-store', 'packages/sqlite-store', 'packages/cli']

/** @type {[name: string, command: string, args: string[], folder?: string][]} */
const checks = [
  ['lint', 'oxlint', ['--type-aware', '--deny-warnings']],
  ['format', 'prettier', ['--check', '.']],
  ['types', 'tsc', ['-b']],
  ...published.map((folder) => [`exports of ${folder}`, 'publint', ['--strict', '--pack', 'npm'], folder]),
  ...published.map((folder) => [
    `types of ${folder}`,
    'attw',
    ['--pack', '.', '--profile', 'esm-only'],
    folder,
  ]),
  ['dead code', 'knip', ['--no-config-hints']],
]

let failures = 0
for (const [name, command, args, folder = '.'] of checks) {
  const { code, output, seconds } = await run(command, args, {
    title: name,
    announceAfterMs: 10_000,
    cwd: join(root, folder),
  })
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`)
  if (code === 0) continue
  failures += 1
  console.log(output.trim())
}

if (failures > 0) {
  console.error(`\n${failures} of ${checks.length} checks failed.`)
  process.exit(1)
}
console.log(`all ${checks.length} checks passed`)
