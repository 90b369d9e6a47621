export interface Suite {
  /** Of the package `@modelcontextprotocol/conformance`. */
  version: string
  /** For people: what of it is run. */
  name: string
  args: readonly string[]
  /** How many checks the suite is known to make of a server that passes. Fewer means that some did not run. */
  expected: number
}

export const suites: readonly Suite[] = [
  { version: '0.1.16', name: '0.1.16 active', args: ['--suite', 'active'], expected: 40 },
  {
    version: '0.2.0-alpha.12',
    name: '0.2.0-alpha.12 2025-11-25',
    args: ['--requirements', '2025-11-25'],
    expected: 84,
  },
]
