import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Child, type Exit, type StopSignal } from './child.js'

export interface NodeProcess extends AsyncDisposable {
  readonly pid: number
  /** First group of the ready line: with the default pattern the address, `http://127.0.0.1:PORT`. */
  readonly url: string
  readonly output: string
  readonly exited: Promise<Exit>
  kill(signal?: StopSignal): Promise<Exit>
  pause(): void
  resume(): void
}

export interface SpawnNodeOptions {
  /** Added to this process's environment. */
  env?: NodeJS.ProcessEnv
  /** Where it runs; default the root of the repository. */
  cwd?: string
  /** The line on stdout that says it is ready; default `listening on <url>`. */
  ready?: RegExp
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/**
 * Starts `node file ...args` and waits until it is ready. `file` is compiled JavaScript, absolute or relative to
 * the root of the repository (`examples/dist/everything.js`).
 */
export async function spawnNode(
  file: string,
  args: string[] = [],
  options: SpawnNodeOptions = {},
): Promise<NodeProcess> {
  const { env, cwd = ROOT, ready = /listening on (http:\/\/\S+)/ } = options
  const child = await Child.spawn(process.execPath, [resolve(ROOT, file), ...args], {
    cwd,
    env: { ...process.env, ...env },
  })
  try {
    const match = await child.waitForLine(ready)
    return Object.assign(child, { url: match[1] ?? '' })
  } catch (error) {
    await child.kill('SIGKILL')
    throw error
  }
}
