import { spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { end, firstLine, own } from './processes.js'

export interface LocalRedis extends AsyncDisposable {
  url: string
  /** For people: where this Redis comes from. */
  origin: string
}

/**
 * The Redis of `REDIS_URL`, else a server of our own on a free port of the loopback interface. Throws when there is neither,
 * after an attempt to install one.
 */
export async function findRedis(): Promise<LocalRedis> {
  const url = process.env['REDIS_URL']
  if (url) return { url, origin: 'REDIS_URL', [Symbol.asyncDispose]: async () => {} }
  return startRedis(installed() ?? installRedis())
}

async function startRedis(command: string): Promise<LocalRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-redis-'))
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', removeDir)
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const child = spawn(
      command,
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    own(child)
    const dispose = async (): Promise<void> => {
      await end(child, 'SIGTERM')
      removeDir()
      process.off('exit', removeDir)
    }
    try {
      await firstLine(child, /Ready to accept connections/i)
      const origin = `its own ${command} on port ${port}`
      return { url: `redis://127.0.0.1:${port}`, origin, [Symbol.asyncDispose]: dispose }
    } catch (error) {
      await end(child, 'SIGKILL')
      // Another program may have taken the port between our look and the server's start.
      if (attempt === 5) throw new Error(`${command} does not start`, { cause: error })
    }
  }
}

function installed(): string | undefined {
  return ['redis-server', 'valkey-server'].find((command) => succeeds(command, ['--version']))
}

function installRedis(): string {
  const isRoot = process.getuid?.() === 0
  console.log('redis-server is missing; installing it …')
  if (isRoot && succeeds('apt-get', ['--version'])) {
    succeeds('apt-get', ['update', '-qq'])
    succeeds('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'])
  } else if (succeeds('brew', ['--version'])) {
    succeeds('brew', ['install', 'redis'])
  }
  const command = installed()
  if (command !== undefined) return command
  throw new Error(
    'no redis-server here, and it could not be installed. Install it (apt-get install redis-server, ' +
      "brew install redis), or run 'docker compose up -d redis' and set REDIS_URL=redis://127.0.0.1:6379",
  )
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
