import { writeFile } from 'node:fs/promises'
import { readOptions, usage } from './options.js'
import type { Options } from './options.js'
import { describeProfile } from './report/cpu-profile.js'
import { writeDocument } from './report/document.js'
import { table } from './report/table.js'
import type { Row } from './rows.js'
import { run } from './run.js'

const options = optionsOrExit()
const results = await run(options)
const { rows, notes, budgets, profiles, failures } = results
console.log(`\n${table(rows)}\n`)
for (const note of notes) console.log(note)
for (const [contestant, layers] of budgets) console.log(budgetLine(contestant, layers))
for (const file of profiles) console.log(`\n${(await describeProfile(file)).join('\n')}`)
for (const failure of failures) console.error(`\nerror: ${failure}`)
const json = JSON.stringify({ rows: rows.map(shown) })
if (options.json !== undefined) await writeFile(options.json, `${json}\n`)

// Only a run that judges, of everything.
if (options.effort === 'full' && !options.only && failures.length === 0) await writeDocument(results)

console.log(`\n${json}`)
process.exitCode = failures.length === 0 ? 0 : 1

/** What others read: a target is the number that the ratio must reach, or stay within. */
function shown({ target, what: _what, against: _against, ...row }: Row) {
  return { ...row, target: target?.ratio ?? null, bound: target?.bound ?? null }
}

function budgetLine(contestant: string, layers: ReadonlyMap<string, number>) {
  const times = [...layers]
    .filter(([, time]) => time >= 1)
    .map(([layer, time]) => `${layer} ${Math.round(time)}`)
  return `${contestant}: µs of CPU time for a call: ${times.join(', ')}`
}

function optionsOrExit(): Options {
  try {
    const read = readOptions(process.argv.slice(2))
    if (read !== 'help') return read
    console.log(usage)
    process.exit(0)
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}
