import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { MAIN } from '../../packages/cli/test/support/cli.js'

/** Runs the compiled command to its end, where there is no Redis. */
export async function spawnCli(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, REDIS_URL: 'redis://127.0.0.1:1', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}
