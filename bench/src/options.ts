import { parseArgs } from 'node:util'
import type { EffortName } from './effort.js'
import { rowSpecs } from './rows.js'
import type { RowName } from './rows.js'

export type Options = {
  effort: EffortName
  only: ReadonlySet<RowName> | undefined
  json: string | undefined
  profile: string | undefined
}

export const usage = `usage: npm run bench -- [--quick] [--only ROW]… [--json FILE] [--profile DIR]

Measures the durable server beside what it replaces: everything in this run, in turns, each in a process of its own.
The last line is JSON. Exit code 1: something could not be measured. A whole run writes the table and the charts of docs/performance.md.

  --quick        within 5 minutes: short rounds and small numbers; it shows that all is measured, and about where it is
  --only ROW     just this row; may be given several times. One of
                 ${rowSpecs.map(({ name }) => name).join(' ')}
  --json FILE    write the JSON into this file too
  --profile DIR  write CPU profiles of the contestants into this directory (*.cpuprofile), and list what took the time`

/** Throws an error that says what is wrong. */
export function readOptions(args: string[]): Options | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return 'help'
  const effort = values.quick ? 'quick' : 'full'
  const { json, profile } = values
  return {
    effort,
    only: values.only && rowNames(values.only),
    json,
    profile,
  }
}

function rowNames(names: readonly string[]): ReadonlySet<RowName> {
  const known = rowSpecs.map(({ name }) => name)
  return new Set(
    names.map((text) => {
      const name = known.find((candidate) => candidate === text)
      if (name === undefined)
        throw new Error(`--only ${text}: there is no such row; one of ${known.join(' ')}`)
      return name
    }),
  )
}
