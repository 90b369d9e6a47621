import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Program extends AsyncDisposable {
  /** As in the line `listening on URL` that the program printed. */
  url: string
  pid: number
  /** Asks the program to end (SIGTERM), and ends it (SIGKILL) if it has not after ten seconds. */
  stop(): Promise<void>
  /** SIGKILL: the program gets no chance to say goodbye. */
  kill(): Promise<void>
}

/** The slowest of them import much. */
const STARTS_WITHIN_MS = 60_000

const children = new Set<ChildProcess>()

/** Makes sure that the child does not outlive this process, unless this one is killed itself. */
export function own(child: ChildProcess): ChildProcess {
  if (children.size === 0) process.once('exit', killChildren)
  children.add(child)
  child.once('exit', () => {
    children.delete(child)
    if (children.size === 0) process.off('exit', killChildren)
  })
  return child
}

function killChildren(): void {
  for (const child of children) child.kill('SIGKILL')
}

/** Starts one of the example servers as a process of its own, and waits until it listens. */
export function startProgram(name: string, args: readonly string[]): Promise<Program> {
  // The same path from src and from dist: what runs is always the compiled program.
  return start(name, new URL(`../dist/${name}.js`, import.meta.url), args)
}

/** Starts the command `mcp-durable proxy`. */
export function startProxy(args: readonly string[]): Promise<Program> {
  const main = new URL('dist/main.js', import.meta.resolve('@mcp-durable/cli/package.json'))
  return start('mcp-durable proxy', main, ['proxy', ...args])
}

const start = (name: string, program: URL, args: readonly string[]): Promise<Program> =>
  startCommand(name, process.execPath, [fileURLToPath(program), ...args])

/** Starts a command that prints, as the servers here do, where it listens. */
async function startCommand(name: string, command: string, args: readonly string[]): Promise<Program> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  own(child)

  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000)
  })
  const url = await firstLine(child, /^listening on (http:[^\s,]+)/, STARTS_WITHIN_MS).catch(
    (error: unknown) => {
      child.kill('SIGKILL')
      throw new Error(`${name} did not start: ${errors.trim() || String(error)}`)
    },
  )
  const stop = () => end(child, 'SIGTERM')
  return { url, pid: child.pid!, stop, kill: () => end(child, 'SIGKILL'), [Symbol.asyncDispose]: stop }
}

/** The first line of the child's output that matches, as its first group; rejects if the child ends before it. */
export async function firstLine(child: ChildProcess, pattern: RegExp, timeoutMs = 15_000): Promise<string> {
  const lines = createInterface({ input: child.stdout! })
  return new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('it said nothing in time')), timeoutMs)
    const settle = (act: () => void): void => {
      clearTimeout(timer)
      act()
    }
    lines.on('line', (line) => {
      const match = pattern.exec(line)
      if (match !== null) settle(() => resolve(match[1] ?? line))
    })
    child.once('error', (error) => settle(() => reject(error)))
    child.once('exit', (code, signal) => settle(() => reject(new Error(`it ended with ${signal ?? code}`))))
  })
}

/** Sends the signal unless the child is gone, and waits until it is. */
export async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}

/** Ends them in the reverse order of their start, all of them, whatever one of them does. */
export async function disposeAll(started: readonly AsyncDisposable[]): Promise<void> {
  const errors: unknown[] = []
  for (const one of started.toReversed()) {
    try {
      await one[Symbol.asyncDispose]()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}
