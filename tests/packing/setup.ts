import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { fetchFrameworks } from '../../examples/test/recipes.js'
import { Registry } from '../../test-support/registry.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** What a folder's `.npmrc` holds, so that our packages come from the registry of this run. */
    npmrc: string
    /** Where Bun and Deno are, as npm has brought them. */
    frameworks: string
  }
}

/** Releases the packages, as they are here, to a registry on loopback. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const registry = await Registry.start()
  const release = ['scripts/release.mjs', '--rehearse', registry.url]
  const token = { [`npm_config_//${new URL(registry.url).host}/:_authToken`]: 'none' }
  try {
    await promisify(execFile)(process.execPath, release, {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, ...token },
    })
  } catch (error) {
    await registry[Symbol.asyncDispose]()
    throw error
  }
  // Before test files ask for them, several at once.
  project.provide('frameworks', await fetchFrameworks())
  project.provide('npmrc', `@mcp-durable:registry=${registry.url}\n`)
  return () => registry[Symbol.asyncDispose]()
}
