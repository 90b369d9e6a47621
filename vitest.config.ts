import { defineConfig } from 'vitest/config'

// Tests run on the sources of the packages: no build is needed, and none can be stale.
const conditions = ['@mcp-durable/source', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    globalSetup: './test-support/redis-global-setup.ts',
    pool: 'forks',
    // Real servers and processes on a small machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
})
