import { writeFile } from 'node:fs/promises'
import { readOptions, usage } from './options.js'
import type { Options } from './options.js'
import { summaryOf } from './report/profile-summary.js'
import { table } from './report/table.js'
import type { Row } from './rows.js'
import { run } from './run.js'

const options = optionsOrExit()
const { rows, notes, profiles } = await run(options)
console.log(`\n${table(rows)}\n`)
for (const note of notes) console.log(note)
for (const file of profiles) console.log(`\n${(await summaryOf(file)).join('\n')}`)
const json = JSON.stringify({ rows: rows.map(shown) })
if (options.json !== undefined) await writeFile(options.json, `${json}\n`)
console.log(`\n${json}`)

/** What others read: a target is the number that the ratio must reach, or stay within. */
function shown({ name, ratio, target, ok, value, peer, unit }: Row) {
  return { name, ratio, target: target?.ratio ?? null, bound: target?.bound ?? null, ok, value, peer, unit }
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
