// Brings a fresh clone to a state that runs: installs the dependencies with the pinned pnpm when they are missing
// or out of date, then compiles what changed. Needs Node and npm only, and does nothing twice.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'

import { fail, root, run } from './run.mjs'

const STAMP = join(root, 'node_modules', '.setup-stamp')
const TSC = join(root, 'node_modules', 'typescript', 'bin', 'tsc')

const major = Number(process.versions.node.split('.')[0])
if (major < 20) fail(`Node ${process.versions.node} is too old.`, 'Install Node 20 or newer and run again.')

await install()
await compile()

async function install() {
  const wanted = await fingerprint()
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { code, output } = await run('npx', ['--yes', packageManager, 'install', '--frozen-lockfile'], {
    title: `installing dependencies with ${packageManager}`,
    announceAfterMs: 0,
    env: { CI: 'true' }, // it asks nothing
  })
  if (code !== 0) fail(output, adviceFor(output, packageManager))
  writeFileSync(STAMP, wanted)
}

function adviceFor(output, packageManager) {
  if (output.includes('ERR_PNPM_OUTDATED_LOCKFILE')) {
    return `A package.json changed without the lockfile. Run: npx ${packageManager} install --no-frozen-lockfile`
  }
  return 'The install failed. Check that this machine reaches the npm registry (npm ping), then run again.'
}

async function compile() {
  const { code, output } = await run(process.execPath, [TSC, '-b', 'tsconfig.build.json'], {
    title: 'compiling',
    announceAfterMs: 2_000,
  })
  if (code !== 0) fail(output, 'The sources do not compile. Fix the errors above and run again.')
}

/** Changes when the lockfile or any manifest does. */
async function fingerprint() {
  const packages = await readdir(join(root, 'packages'))
  const folders = [
    '.',
    'examples',
    'bench',
    'chaos',
    'docs',
    'tests',
    ...packages.map((name) => join('packages', name)),
  ]
  const files = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...folders.map((folder) => join(folder, 'package.json')),
  ]
  const hash = createHash('sha256').update(process.platform + process.arch)
  for (const file of files) {
    const path = join(root, file)
    hash.update(`${file}\0`).update(existsSync(path) ? readFileSync(path) : '')
  }
  return hash.digest('hex')
}
