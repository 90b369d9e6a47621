import { execFile, type ExecFileException } from 'node:child_process'
import { promisify } from 'node:util'

import { installPackage, works } from './install.js'

const exec = promisify(execFile)
const OLDEST_MAJOR = 7
const DOCKER_IMAGE = 'redis:7'

/** How a Redis server is started on this machine. */
export interface RedisLauncher {
  readonly command: string
  /** What comes before the server's own options. */
  prefix(dir: string, name: string): string[]
  /** Set where a SIGKILL to the started process would not reach the server. */
  killServer?(name: string): Promise<void>
}

const HOW_TO_GET_ONE = `No Redis server found, and none could be installed.
Do one of these and run again:
  - install Redis 7.0 or newer, or Valkey 8, so that redis-server or valkey-server is on the PATH
    (Debian, Ubuntu: sudo apt-get install redis-server; macOS: brew install redis)
  - start Docker
The tests of this project need it; they don't run without.`

/** The way to start a server here: an installed one, else one in Docker; undefined if there is neither. */
export async function findRedis(): Promise<RedisLauncher | undefined> {
  for (const command of ['redis-server', 'valkey-server']) {
    if ((await majorVersion(command)) >= OLDEST_MAJOR) return { command, prefix: () => [] }
  }
  return (await works('docker', 'version')) ? dockerLauncher : undefined
}

/** Like `findRedis`, but installs a server where there is none. Throws a text that says how to get one. */
export async function ensureRedis(): Promise<RedisLauncher> {
  const found = await findRedis()
  if (found && found !== dockerLauncher) return found
  const failure = await installPackage({ debian: 'redis-server', brew: 'redis' }).catch(
    (error: ExecFileException) => error,
  )
  const launcher = (await findRedis()) ?? found
  if (launcher) return launcher
  throw new Error(HOW_TO_GET_ONE, { cause: failure })
}

// On Linux and current Docker Desktop the host's network lets Cluster nodes see each other on 127.0.0.1.
const dockerLauncher: RedisLauncher = {
  command: 'docker',
  prefix: (dir, name) => {
    const options = ['--rm', '--name', name, '--network', 'host', '--volume', `${dir}:${dir}`]
    return ['run', ...options, DOCKER_IMAGE, 'redis-server']
  },
  killServer: async (name) => void (await exec('docker', ['kill', '--signal', 'KILL', name])),
}

/** 0 when there is none. */
async function majorVersion(command: string): Promise<number> {
  const { stdout } = await exec(command, ['--version']).catch(() => ({ stdout: '' }))
  return Number(/v=(\d+)\./.exec(stdout)?.[1] ?? 0)
}
