import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** Whether a command is there and runs. */
export async function works(command: string, arg: string): Promise<boolean> {
  return exec(command, [arg]).then(
    () => true,
    () => false,
  )
}

/** Installs a package where that needs nobody's consent: as root on Debian, or with brew. Else it does nothing. */
export async function installPackage(name: { debian: string; brew: string }): Promise<void> {
  if (process.getuid?.() === 0 && (await works('apt-get', '--version'))) {
    console.log(`Installing ${name.debian} with apt-get …`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await exec('apt-get', ['update'], { env })
    // The package may start a service; the tests don't use it.
    await exec('apt-get', ['install', '--yes', '--no-install-recommends', name.debian], { env })
  } else if (await works('brew', '--version')) {
    console.log(`Installing ${name.brew} with brew …`)
    await exec('brew', ['install', name.brew])
  }
}
