// Loaded before a node (`--import`): what it loads of the package core has the mutants that the environment names.

import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { mutated } from './mutants.js'
import type { Mutant } from './mutants.js'

const names = (process.env['MCP_CHAOS_MUTATION'] ?? '').split(',') as Mutant[]
if (isMainThread) register(import.meta.url)

type Loaded = { format: string; source: string; shortCircuit?: boolean }

/** A hook of Node.js: it runs in a thread of its own. */
export async function load(
  url: string,
  context: unknown,
  next: (url: string, context: unknown) => Promise<Loaded>,
): Promise<Loaded> {
  if (!url.includes('/core/dist/')) return next(url, context)
  const source = mutated(url, await readFile(fileURLToPath(url), 'utf8'), names)
  return source === undefined ? next(url, context) : { format: 'module', source, shortCircuit: true }
}
