// Runs a command on another version of Node.js: node scripts/on-node.mjs 22 npm run demo
// The binary comes from the npm registry, once, and is kept beside the installed packages.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'

import { fail, root, run } from './run.mjs'

/** What CI tests. The oldest one is the oldest that `engines` allows in its major version's last release. */
const VERSIONS = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.12.1' }

const [major = '', command, ...args] = process.argv.slice(2)
const version = VERSIONS[major]
if (!version || !command) {
  fail(
    'usage: node scripts/on-node.mjs VERSION COMMAND…',
    `VERSION is one of ${Object.keys(VERSIONS).join(', ')}.`,
  )
}

const node = await bring(version)
const PATH = [dirname(node), process.env.PATH].join(delimiter)
// Tests start very many processes, each of which would compile the same files.
const NODE_COMPILE_CACHE = join(dirname(node), 'compiled')
const env = { NODE_COMPILE_CACHE, ...process.env, PATH }
const child = spawn(command, args, { cwd: root, env, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => fail(`${command}: ${error.message}`, 'Is it on the PATH?'))
child.on('exit', (code, signal) => process.exit(signal ? 1 : code))

/** @returns {Promise<string>} the path of the binary */
async function bring(exact) {
  const name = `node-${process.platform}-${process.arch}`
  const cache = join(root, 'node_modules', '.cache', 'mcp-durable')
  const folder = join(cache, `node-${exact}`)
  const binary = join(folder, 'node_modules', name, 'bin', 'node')
  if (existsSync(binary)) return binary
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'draft-'))
  await writeFile(
    join(draft, 'package.json'),
    JSON.stringify({ private: true, dependencies: { [name]: exact } }),
  )
  const options = ['--prefix', draft, '--ignore-scripts', '--no-audit', '--no-fund']
  const { code, output } = await run('npm', ['install', ...options], {
    title: `fetching Node.js ${exact}`,
    announceAfterMs: 0,
    cwd: draft,
  })
  if (code !== 0) fail(output, 'Check that this machine reaches the npm registry (npm ping), then run again.')
  // Renamed only when complete, so that an interrupted fetch is not taken for a finished one.
  await rm(folder, { recursive: true, force: true })
  await rename(draft, folder)
  return binary
}
