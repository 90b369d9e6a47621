import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../logger.js'
import { endOfTurn } from '../../turn.js'
import { leash } from './leash.js'
import { Lines } from './lines.js'
import type { Line } from './lines.js'

/** How an MCP server that speaks stdio is started. */
export type StdioServer = {
  /** A program, by its name or path; no shell reads it. */
  command: string
  args?: readonly string[]
  /** Default: the environment of this process. */
  env?: Readonly<Record<string, string | undefined>>
  /** The folder it runs in. Default: that of this process. */
  cwd?: string
}

export type ProcessEvents = {
  /** The largest line that is taken from it. */
  maxLineBytes: number
  onLine: (line: Line) => void
  /** It has ended, and all that it wrote has been handed on. `isExpected`: it was told to. */
  onEnd: (how: string, isExpected: boolean) => void
  logger: Logger
}

/** As the specification says of stdio, "Shutdown": input closed, then SIGTERM, then SIGKILL. */
const ENDS_WITHIN_MS = 2000
/** Processes that it has started may hold its output open. */
const LAST_OUTPUT_MS = 500
/** What it may write on standard error: of one line, and in a second. */
const STDERR_LINE_BYTES = 4096
const LOGGED_LINES = 100
/** Requests that it has not read. */
const MOST_UNREAD_BYTES = 16 * 1024 * 1024

/** One process of a server that speaks stdio. It does not outlive this one: its input ends with it. */
export class StdioProcess {
  /** Resolves when it runs. Rejects if it can't be started. */
  readonly started: Promise<unknown>
  /** Resolves when it has ended. */
  readonly ended: Promise<void>
  readonly #child: ChildProcessWithoutNullStreams
  readonly #events: ProcessEvents
  #stopping: Promise<void> | undefined
  #hasExited = false
  #isEnding = false
  #logged = 0

  constructor({ command, args = [], env = process.env, cwd }: StdioServer, events: ProcessEvents) {
    this.#events = events
    this.#child = spawn(command, [...args], {
      env,
      ...(cwd !== undefined && { cwd }),
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own: what it starts can be ended with it, and Ctrl-C at a terminal leaves its end to this process.
      detached: process.platform !== 'win32',
    })
    this.started = once(this.#child, 'spawn')
    this.ended = this.#watch()
    const { stdin, stdout, stderr } = this.#child
    for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined)
    // One that reads no more, or says no more, would never answer.
    for (const stream of [stdin, stdout]) stream.once('close', () => void this.#stop())
    this.#read(stdout, events.maxLineBytes, events.onLine)
    this.#read(stderr, STDERR_LINE_BYTES, ({ text, isWhole }) => this.log(isWhole ? text : `${text} …`))
  }

  get pid() {
    return this.#child.pid
  }

  /** Whether it may still read what it is sent: it has not ended, and is not about to. */
  get isOpen() {
    return !this.#hasExited && !this.#stopping && this.#child.stdin.writable
  }

  get isUnread() {
    return this.#child.stdin.writableLength > MOST_UNREAD_BYTES
  }

  /** Resolves to `false` if it has certainly not got the message. */
  async write(json: string): Promise<boolean> {
    if (!this.isOpen) return false
    const written = new Promise<boolean>((resolve) => {
      this.#child.stdin.write(`${json}\n`, (error) => resolve(!error))
    })
    // A pipe that is broken says so at once; one that is full takes it when it is read.
    return Promise.race([written, endOfTurn().then(() => true)])
  }

  /** Whether its output is read. What it writes meanwhile makes it wait; what it wrote last does not. */
  listen(isRead: boolean) {
    if (isRead || this.#hasExited) this.#child.stdout.resume()
    else this.#child.stdout.pause()
  }

  /** Resolves when it has ended. */
  async end() {
    this.#isEnding = true
    await this.#stop()
  }

  #stop() {
    return (this.#stopping ??= this.#shutDown())
  }

  async #shutDown() {
    this.#child.stdin.end()
    this.listen(true)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (await this.#endsSoon()) return
      this.#kill(signal)
    }
    await this.ended
  }

  #endsSoon() {
    const late = sleep(ENDS_WITHIN_MS, false, { ref: false })
    return Promise.race([this.ended.then(() => true), late])
  }

  async #watch() {
    const { pid } = this.#child
    const letOff = pid === undefined || process.platform === 'win32' ? undefined : leash(pid)
    const closed = once(this.#child, 'close')
    closed.catch(() => undefined)
    try {
      const [code, signal] = (await once(this.#child, 'exit')) as [number | null, string | null]
      this.#hasExited = true
      this.listen(true)
      await closesSoon(closed)
      // What it has left behind. The pipe has an end then, and is read up to that.
      this.#kill('SIGKILL')
      await closesSoon(closed)
      letOff?.()
      this.#isOver(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`)
    } catch (error) {
      this.#isOver(`could not be started (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
    }
  }

  #isOver(how: string) {
    const { logger, onEnd } = this.#events
    if (this.#isEnding) logger.info({ pid: this.pid }, `a server of stdio ${how}, as it was told to`)
    else logger.warn({ pid: this.pid }, `a server of stdio ${how}`)
    onEnd(how, this.#isEnding)
  }

  #kill(signal: 'SIGTERM' | 'SIGKILL') {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      if (process.platform === 'win32') this.#child.kill(signal)
      else process.kill(-pid, signal)
    } catch {
      // Nothing is left of it.
    }
  }

  #read(stream: NodeJS.ReadableStream, maxBytes: number, onLine: (line: Line) => void) {
    const lines = new Lines(maxBytes)
    stream.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) onLine(line)
    })
    stream.on('end', () => {
      const rest = lines.rest()
      if (rest) onLine(rest)
    })
  }

  /** A line on the log. What writes without end is heard only in part. */
  log(text: string) {
    const { logger } = this.#events
    if (this.#logged === 0) setTimeout(() => this.#countAnew(), 1000).unref()
    if (++this.#logged <= LOGGED_LINES) logger.warn({}, `stdio ${this.pid}: ${text}`)
  }

  #countAnew() {
    const left = this.#logged - LOGGED_LINES
    this.#logged = 0
    if (left > 0) this.#events.logger.warn({}, `stdio ${this.pid}: (${left} more lines in a second)`)
  }
}

const closesSoon = (closed: Promise<unknown>) =>
  Promise.race([closed, sleep(LAST_OUTPUT_MS, undefined, { ref: false })])
