import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Child } from '../../../../test-support/child.js'

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface Result {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the compiled command to its end. Nobody is at its terminal. */
export async function cli(url: string, ...args: string[]): Promise<Result> {
  const env = { ...process.env, REDIS_URL: url, NO_COLOR: '1' }
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** Its output; fails if it does. */
export async function out(url: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(url, ...args)
  if (code !== 0) throw new Error(`mcp-durable ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout
}

export async function json<T = Record<string, unknown>>(url: string, ...args: string[]): Promise<T> {
  return JSON.parse(await out(url, ...args, '--json')) as T
}

/** Runs a command that goes on. */
export const startCli = (url: string, ...args: string[]) => startCliIn(undefined, url, ...args)

/** The same, in a folder. */
export function startCliIn(cwd: string | undefined, url: string, ...args: string[]): Promise<Child> {
  return Child.spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, REDIS_URL: url, NO_COLOR: '1' },
    ...(cwd !== undefined && { cwd }),
  })
}
