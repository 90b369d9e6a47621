import type { ExecFileException } from 'node:child_process'

import { Child } from './child.js'
import { installPackage, works } from './install.js'
import type { NodeProcess } from './node-process.js'

const HOW_TO_GET_IT = `No python3 found, and none could be installed. Install it so that it is on the PATH and run again
(Debian, Ubuntu: sudo apt-get install python3; macOS: brew install python3).
The tests of a server in another language need it; they don't run without.`

/** Installs Python where there is none. Throws a text that says how to get it. */
export async function ensurePython(): Promise<void> {
  if (await works('python3', '--version')) return
  const failure = await installPackage({ debian: 'python3', brew: 'python3' }).catch(
    (error: ExecFileException) => error,
  )
  if (!(await works('python3', '--version'))) throw new Error(HOW_TO_GET_IT, { cause: failure })
}

/** Starts `python3 file ...args` and waits until it prints `listening on <url>`. */
export async function spawnPython(file: string, args: string[] = []): Promise<NodeProcess> {
  const child = await Child.spawn('python3', [file, ...args])
  try {
    const match = await child.waitForLine(/listening on (http:\/\/\S+)/)
    return Object.assign(child, { url: match[1] ?? '' })
  } catch (error) {
    await child.kill('SIGKILL')
    throw error
  }
}
