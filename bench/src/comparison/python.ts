import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Child } from '../../../test-support/index.js'
import type { NodeProcess } from '../../../test-support/index.js'
import { ROOT } from '../report/document.js'

const run = promisify(execFile)
const VENVS = join(ROOT, '.cache/comparison')
const SCRIPTS = join(ROOT, 'bench/python')
const READY_MS = 60_000
/** From a registry that is slow. */
const INSTALL_MS = 10 * 60_000

/** A Python with packages of its own, made once. `packages`: as pip takes them. */
export async function venv(python: string, name: string, packages: readonly string[]): Promise<string> {
  const folder = join(VENVS, name)
  const own = join(folder, 'bin/python')
  await mkdir(VENVS, { recursive: true })
  await run(python, ['-m', 'venv', folder])
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]
  await run(own, args, { timeout: INSTALL_MS })
  return own
}

/** The versions of installed packages, as `name version`. */
export async function versionsOf(python: string, packages: readonly string[]): Promise<string> {
  const code =
    'import sys; from importlib.metadata import version; print(", ".join(f"{p} {version(p)}" for p in sys.argv[1:]))'
  const { stdout } = await run(python, ['-c', code, ...packages])
  return stdout.trim()
}

/** Starts a script of `bench/python`, and waits until it listens. */
export async function startPython(
  python: string,
  script: string,
  args: readonly string[],
): Promise<NodeProcess> {
  const child = await Child.spawn(python, [join(SCRIPTS, script), ...args])
  try {
    const match = await child.waitForLine(/listening on (http:\/\/\S+)/, READY_MS)
    return Object.assign(child, { url: match[1] ?? '' })
  } catch (error) {
    await child.kill('SIGKILL')
    throw error
  }
}
