import { execFile, type ExecFileException } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const LOCKED = /Could not get lock|Unable to lock|Unable to acquire/
const LOCKED_FOR_MS = 120_000
const ASK_AGAIN_MS = 500

/** Whether a command is there and runs. */
export async function works(command: string, arg: string): Promise<boolean> {
  return exec(command, [arg]).then(
    () => true,
    () => false,
  )
}

/** Installs a package where that needs nobody's consent: as root on Debian, or with brew. Else it does nothing. */
export async function installPackage(name: { debian: string; brew?: string }): Promise<void> {
  if (process.getuid?.() === 0 && (await works('apt-get', '--version'))) {
    console.log(`Installing ${name.debian} with apt-get …`)
    await aptGet('update')
    // The package may start a service; the tests don't use it.
    await aptGet('install', '--yes', '--no-install-recommends', name.debian)
  } else if (name.brew !== undefined && (await works('brew', '--version'))) {
    console.log(`Installing ${name.brew} with brew …`)
    await exec('brew', ['install', name.brew])
  }
}

/**
 * A program that only some tests need: its path is found, or it is installed. `undefined` where that can't be: such a
 * test is skipped, with the reason on the console, but never in CI, where it is an error.
 */
export async function ensureProgram(
  program: { commands: readonly string[]; debian: string; brew?: string },
  { install = installPackage, isCI = Boolean(process.env['CI']) } = {},
): Promise<string | undefined> {
  const { commands, debian } = program
  const find = async () => {
    const found = await Promise.all(commands.map((command) => works('which', command)))
    return commands.find((_command, index) => found[index])
  }
  const found = await find()
  if (found !== undefined) return found
  const failure = await install(program).catch((error: ExecFileException) => error)
  const installed = await find()
  if (installed !== undefined) return installed
  const why = `None of ${commands.join(', ')} is here, and none could be installed (Debian: sudo apt-get install ${debian}).`
  if (isCI) throw new Error(why, { cause: failure })
  console.warn(`${why} The tests that need it are skipped.`)
  return undefined
}

/** Waits while another process, or another test file, installs something. */
async function aptGet(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (let waitedMs = 0; ; waitedMs += ASK_AGAIN_MS) {
    try {
      await exec('apt-get', args, { env })
      return
    } catch (error) {
      if (!LOCKED.test(String(error)) || waitedMs >= LOCKED_FOR_MS) throw error
      await sleep(ASK_AGAIN_MS)
    }
  }
}
