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
  /** How many of these it can't make of some, and only warns. */
  fewer?: Partial<Record<Host, number>>
  /** Only for these; default: all. */
  hosts?: readonly Host[]
}

const WITH_SESSIONS: readonly Host[] = ['server', 'handler', 'upstream', 'alone']

const SESSIONLESS_SUITE = {
  version: '0.2.0-alpha.12',
  name: '0.2.0-alpha.12 2026-07-28',
  args: ['--requirements', '2026-07-28'],
}

export const suites: readonly Suite[] = [
  {
    version: '0.1.16',
    name: '0.1.16 active',
    args: ['--suite', 'active'],
    expected: 40,
    hosts: WITH_SESSIONS,
  },
  {
    version: '0.2.0-alpha.12',
    name: '0.2.0-alpha.12 2025-11-25',
    args: ['--requirements', '2025-11-25'],
    expected: 84,
    hosts: WITH_SESSIONS,
  },
  {
    ...SESSIONLESS_SUITE,
    // 120 that are required, and 32 of headers and schemas and 44 of tasks that are not yet.
    expected: 196,
    hosts: ['server'],
  },
  {
    ...SESSIONLESS_SUITE,
    // A server that exists has no tasks of its own, and what stands in front of it adds none.
    without: 'tasks-',
    expected: 152,
    // What changes in the session of one request nobody else's session is told.
    fewer: { handler: 2 },
    hosts: ['handler', 'sessionless-handler', 'sessionless-upstream', 'sessionless-alone'],
  },
]
