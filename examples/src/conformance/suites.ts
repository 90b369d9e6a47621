import type { Host } from './arrangement.js'

export interface Suite {
  /** Of the package `@modelcontextprotocol/conformance`. */
  version: string
  /** For people: what of it is run. */
  name: string
  args: readonly string[]
  /** How many checks the suite is known to make of a server that passes. Fewer means that some did not run. */
  expected: number
  /** What the names of scenarios begin with that are run and not judged. */
  without?: string
  /** Only for these; default: all. */
  hosts?: readonly Host[]
}

export const suites: readonly Suite[] = [
  { version: '0.1.16', name: '0.1.16 active', args: ['--suite', 'active'], expected: 40 },
  {
    version: '0.2.0-alpha.12',
    name: '0.2.0-alpha.12 2025-11-25',
    args: ['--requirements', '2025-11-25'],
    expected: 84,
  },
  {
    version: '0.2.0-alpha.12',
    name: '0.2.0-alpha.12 2026-07-28',
    args: ['--requirements', '2026-07-28'],
    // 120 that are required, and 32 of headers and schemas that are not yet.
    expected: 152,
    without: 'tasks-',
    hosts: ['server'],
  },
]
