// The same kills, cuts, deploys and load for this project and what else there is.

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { machine } from '../report/machine.js'
import { playScenes, ratesOf } from './compare.js'
import type { Scenes } from './compare.js'
import { entries } from './contenders.js'
import type { Contender } from './contenders.js'
import { DOCUMENTS, writeInto } from './documents.js'
import { comparisonTable } from './table.js'

const usage = `usage: npm run compare [-- [--python FILE] [--mcp-db FOLDER] [--only TEXT]… [--json FILE]]

The same kill, cut, deploy and load for mcp-durable, the SDK's own servers, and what keeps sessions or tasks of MCP servers elsewhere.
Takes about 20 minutes: 12 of them are one server that waits for 5 minutes, twice. A whole run writes the table of docs/comparison.md and README.md.

  --python FILE    a Python of 3.10 or newer (default python3), for those that are written in it. Each gets a virtual environment with
                   pinned packages from PyPI, in .cache/comparison
  --mcp-db FOLDER  a clone of github.com/bh-rat/mcp-db, which is on no registry
  --only TEXT      just those whose name has it; may be given several times
  --json FILE      write what was measured into this file too`

const CALL = { steps: 10, delayMs: 500 }
const LOAD = { rounds: 3, loadMs: 3000, clients: 16 }

const { values } = optionsOrExit()
const wanted = values.only ?? ['']
const chosen = entries({ python: values.python, mcpDb: values['mcp-db'] }).filter(({ name }) =>
  wanted.some((text) => name.toLowerCase().includes(text.toLowerCase())),
)
const where = await machine()
const played: { contender: Contender; scenes: Scenes }[] = []
const left: string[] = []
for (const { name, enter } of chosen) {
  try {
    const contender = await enter()
    console.log(`${name}: ${contender.versions}`)
    played.push({ contender, scenes: await playScenes(contender, CALL, (line) => console.log(line)) })
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0]! : String(error)
    console.log(`${name}: not run: ${reason}`)
    left.push(`${name} was not run: ${reason}`)
  }
}
console.log(`load: ${LOAD.rounds} rounds …`)
const rates = await ratesOf(
  played.map(({ contender }) => contender),
  LOAD,
)
const lines = played.map(({ contender: { name }, scenes }) => ({
  name,
  outcome: { ...scenes, rate: rates.get(name)! },
}))
const versions = new Set(played.flatMap(({ contender }) => contender.versions.split(', ')))

const table = comparisonTable(lines, CALL.steps)
const text = [`Measured on ${where}: ${[...versions].join(', ')}.`, table, ...left].join('\n\n')
console.log(`\n${text}`)
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ lines, text }, sets, 1)}\n`)
if (values.only === undefined) for (const path of DOCUMENTS) await writeInto(path, text)
process.exitCode = lines.length > 0 ? 0 : 1

function sets(_key: string, value: unknown): unknown {
  return value instanceof Set ? [...(value as Set<unknown>)] : value
}

function optionsOrExit() {
  try {
    const parsed = parseArgs({
      options: {
        python: { type: 'string', default: 'python3' },
        'mcp-db': { type: 'string' },
        only: { type: 'string', multiple: true },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (!parsed.values.help) return parsed
    console.log(usage)
    process.exit(0)
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}
