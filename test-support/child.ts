import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { leashed } from './leash.js'

export type StopSignal = 'SIGKILL' | 'SIGTERM' | 'SIGINT'
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

const LAST_OUTPUT_MS = 500
const DISPOSE_GRACE_MS = 3_000
const OUTPUT_LIMIT = 200_000

/** One child process; it is ended only by its own pid, and does not outlive this process. */
export class Child implements AsyncDisposable {
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<Exit>
  readonly pid: number
  readonly #process: ChildProcess
  readonly #title: string
  readonly #lineListeners = new Set<(line: string) => void>()
  #output = ''

  private constructor(process: ChildProcess, title: string) {
    this.#process = process
    this.#title = title
    this.pid = process.pid!
    this.exited = exitOf(process)
    createInterface({ input: process.stdout! }).on('line', (line) => {
      this.#collect(line)
      for (const listener of this.#lineListeners) listener(line)
    })
    createInterface({ input: process.stderr! }).on('line', (line) => this.#collect(line))
  }

  static async spawn(
    command: string,
    args: string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
  ) {
    const process = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    await once(process, 'spawn')
    leashed(process)
    return new Child(process, [command, ...args].join(' '))
  }

  /** What it wrote so far to stdout and stderr, line by line. */
  get output(): string {
    return this.#output
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Waits for a line on stdout; a line that came before this call is not seen. */
  waitForLine(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        stop()
        reject(new Error(`${this.#title}: ${why} before it printed ${pattern}\n${this.#output}`))
      }
      const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs)
      const onLine = (line: string) => {
        const match = line.match(pattern)
        if (!match) return
        stop()
        resolve(match)
      }
      const stop = () => {
        clearTimeout(timer)
        this.#lineListeners.delete(onLine)
      }
      this.#lineListeners.add(onLine)
      void this.exited.then(({ code, signal }) => fail(`it ended (${signal ?? code})`))
    })
  }

  /** Sends the signal and waits until the process has ended. */
  async kill(signal: StopSignal = 'SIGTERM'): Promise<Exit> {
    this.#process.kill(signal)
    return this.exited
  }

  /** Stops it in its tracks (SIGSTOP): alive, its sockets open, but doing nothing. */
  pause(): void {
    this.#process.kill('SIGSTOP')
  }

  /** Lets it go on after `pause`. */
  resume(): void {
    this.#process.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const force = setTimeout(() => this.#process.kill('SIGKILL'), DISPOSE_GRACE_MS)
    await this.kill('SIGTERM')
    clearTimeout(force)
  }

  #collect(line: string): void {
    this.#output = `${this.#output}${line}\n`.slice(-OUTPUT_LIMIT)
  }
}

async function exitOf(process: ChildProcess): Promise<Exit> {
  const closed = once(process, 'close')
  const [code, signal] = (await once(process, 'exit')) as [Exit['code'], Exit['signal']]
  // Its last output is read by then; but children of its own may hold the pipes open for longer.
  await Promise.race([closed, sleep(LAST_OUTPUT_MS)])
  return { code, signal }
}
