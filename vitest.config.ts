import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// Tests run on the sources of the packages: no build is needed, and none can be stale.
const conditions = ['@mcp-durable/source', 'node', 'development|production']

const testsIn = (...folders: string[]) => folders.map((folder) => `${folder}/**/*.test.ts`)
// They turn the clock: what an earlier file of their process has left running would turn with it.
const CLOCK = [
  'timers',
  'call/{returned-calls,set-back-clock}',
  'client/task-{leaving,progress}',
  'context/{questions,races,retrying,time}',
  'guard/principal',
  'proxy/{left-answers,silent-servers}',
  'sessionless/departing',
  'sessions/fresh-servers',
].map((name) => `packages/core/test/${name}.test.ts`)
const POINTS = 'chaos/test/crash-points*.test.ts'
const BROWSED = ['tests/site.test.ts', 'packages/cli/test/web-page.test.ts']
// What does not depend on the version of Node.js, and takes long: run on one alone.
const ONCE = ['examples/test/{examples,walk-throughs}.test.ts', 'tests/terminal-safety.test.ts']
// Also run once only: the frameworks of docs/frameworks.md are large.
const PACKING = ['tests/packing/*.test.ts', 'examples/test/frameworks.test.ts']

/**
 * What is run by itself with `--project`: in one process, in one whose clock is turned, with processes of their own, the examples
 * and what terminals show, those that kill for minutes, those that kill one at each operation, those of what a browser shows (the
 * site of the documentation, and the page of the monitor), and those of the packages as a stranger gets them.
 */
const projects = {
  unit: {
    include: testsIn('packages/core', 'packages/redis-store', 'packages/sqlite-store', 'test-support'),
    exclude: CLOCK,
  },
  clock: { include: CLOCK, isolate: true },
  processes: {
    include: testsIn('packages/cli', 'examples', 'tests'),
    exclude: [...BROWSED, ...PACKING, ...ONCE],
  },
  once: { include: ONCE },
  chaos: { include: testsIn('chaos', 'bench'), exclude: [POINTS] },
  points: { include: [POINTS] },
  site: { include: BROWSED },
  packing: { include: PACKING, globalSetup: './tests/packing/setup.ts' },
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    exclude: ['**/node_modules/**', '**/dist/**'],
    globalSetup: './test-support/redis-global-setup.ts',
    setupFiles: './test-support/links-followed.ts',
    pool: 'forks',
    // A process takes one file after another: what each imports is most of its time.
    isolate: false,
    // Most of them wait for processes and timers most of the time.
    maxWorkers: availableParallelism() * 2,
    // A machine may be slow: this ends only what hangs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 20_000 } },
    teardownTimeout: 60_000,
    // What a program printed is in it whole.
    chaiConfig: { truncateThreshold: 10_000 },
    projects: Object.entries(projects).map(([name, files]) => ({ extends: true, test: { name, ...files } })),
  },
})
