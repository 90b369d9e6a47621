import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// Tests run on the sources of the packages: no build is needed, and none can be stale.
const conditions = ['@mcp-durable/source', 'node', 'development|production']

/** What is run by itself with `--project`: in one process, with processes of their own, and those that kill them for minutes. */
const projects = {
  unit: ['packages/core', 'packages/redis-store', 'test-support'],
  processes: ['packages/cli', 'examples', 'tests'],
  chaos: ['chaos', 'bench'],
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    exclude: ['**/node_modules/**', '**/dist/**'],
    globalSetup: './test-support/redis-global-setup.ts',
    pool: 'forks',
    // Most of them wait for processes and timers most of the time.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // Real servers and processes on a small machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    projects: Object.entries(projects).map(([name, folders]) => ({
      extends: true,
      test: { name, include: folders.map((folder) => `${folder}/**/*.test.ts`) },
    })),
  },
})
