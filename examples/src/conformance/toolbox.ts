import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suites } from './suites.js'

export interface Toolbox {
  /** The path of a Node.js that is new enough for the suites. */
  node: string
  /** The path of the program of one suite. */
  suite(version: string): string
}

const neededMajor = 22
const broughtMajor = 24
const cache = fileURLToPath(new URL('../../../node_modules/.cache/mcp-durable/', import.meta.url))

/**
 * The suites, and Node.js 24 where this one is too old for them. They are fetched from the npm registry once
 * and kept beside the installed packages, so that the project itself depends on neither.
 */
export async function openToolbox(): Promise<Toolbox> {
  const versions = [...new Set(suites.map(({ version }) => version))]
  const folder = join(cache, `conformance-${versions.join('-')}`)
  const bringsNode = Number(process.versions.node.split('.')[0]) < neededMajor
  const node = bringsNode ? join(folder, 'node_modules/node/bin/node') : process.execPath
  if (!existsSync(node) || !existsSync(join(folder, 'node_modules'))) await install(folder)
  return { node, suite: (version) => join(folder, 'node_modules', alias(version), 'dist/index.js') }
}

async function install(folder: string): Promise<void> {
  console.log(`fetching the conformance suites and Node.js ${broughtMajor} (once) …`)
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'draft-'))
  try {
    const dependencies = Object.fromEntries([
      ['node', String(broughtMajor)],
      ...suites.map(({ version }) => [alias(version), `npm:@modelcontextprotocol/conformance@${version}`]),
    ]) as Record<string, string>
    await writeFile(join(draft, 'package.json'), JSON.stringify({ private: true, dependencies }))
    run(draft, npm(), ['install', '--prefix', draft, '--ignore-scripts', '--no-audit', '--no-fund'])
    // The package `node` gets its binary in an install script. npm 12 runs none that is not allowed, so we run
    // this one, and no other.
    run(join(draft, 'node_modules/node'), process.execPath, ['installArchSpecificPackage.js'])
    // Renamed only when complete, so that an interrupted fetch is not taken for a finished one.
    await rm(folder, { recursive: true, force: true })
    await rename(draft, folder)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

function run(cwd: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status === 0) return
  const said = (error?.message ?? `${stdout}\n${stderr}`).trim().split('\n').slice(-15).join('\n')
  throw new Error(`fetching the conformance suites failed; is the npm registry reachable?\n${said}`)
}

const npm = (): string => (process.platform === 'win32' ? 'npm.cmd' : 'npm')
const alias = (version: string): string => `suite-${version}`
