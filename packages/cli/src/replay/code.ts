import { accessSync, constants, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import type { RecordedCall, ReplayReport } from '@mcp-durable/core/testing'
import { CliError, messageOf } from '../errors.js'
import type { Said } from './messages.js'

const WORKER = new URL('./worker.js', import.meta.url)
/** How long the module may take to load. */
const LOADED_WITHIN_MS = 30_000
/** A trial ends by itself, unless the code keeps its thread from everything else. */
const LATE_MS = 5000

const NEXT = [
  'Give the module that makes the server, and nothing that listens: export const server = () => createMyServer()',
  'It is the function that durable({ server }) takes; the default export may be it too.',
]
const NEXT_OF_TYPES = [
  'Node.js 22.18 and newer read TypeScript whose types can be left out. Compile the file first, or: NODE_OPTIONS="--import tsx"',
]

function requireFile(path: string) {
  let problem = `there is no file ${path}.`
  try {
    accessSync(path, constants.R_OK)
    if (statSync(path).isFile()) return
  } catch (error) {
    const message = messageOf(error)
    if (!message.startsWith('ENOENT')) problem = `${path} can't be read: ${message}`
  }
  throw new CliError(problem, NEXT, { exitCode: 2 })
}

/** Code of a user, in a thread of its own. What it writes is passed on by `onLine`. */
export class Code implements AsyncDisposable {
  readonly #file: string
  readonly #onLine: (line: string) => void
  #worker: Worker | undefined

  constructor(file: string, onLine: (line: string) => void) {
    this.#file = file
    this.#onLine = onLine
  }

  /** Throws a `CliError` if there is no server in it. */
  async load(): Promise<void> {
    await this.#loaded()
  }

  /** Resolves to why not, where it could not be tried. */
  async replay(call: RecordedCall, withinMs: number): Promise<ReplayReport | { stopped: string }> {
    const worker = await this.#loaded()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    worker.postMessage({ call, withinMs })
    const said = await nextOf(worker, withinMs * 2 + LATE_MS)
    if ('said' in said && 'report' in said.said) return said.said.report
    await this.#end()
    return { stopped: 'said' in said ? 'the code answers for what it was not asked' : said.ended }
  }

  async [Symbol.asyncDispose]() {
    await this.#end()
  }

  async #loaded(): Promise<Worker> {
    if (this.#worker) return this.#worker
    requireFile(this.#file)
    const worker = new Worker(WORKER, { workerData: { file: this.#file }, stdout: true, stderr: true })
    this.#worker = worker
    for (const stream of [worker.stdout, worker.stderr]) this.#passOn(stream)
    // Each is heard where it is waited for; between trials it means that the next one has none.
    worker.on('error', () => undefined)
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    const said = await nextOf(worker, LOADED_WITHIN_MS)
    if ('said' in said && 'ready' in said.said) return worker
    await this.#end()
    const failed = 'ended' in said ? { failed: said.ended, lines: [] } : said.said
    if (!('failed' in failed)) throw new Error('The thread of the code has not begun with its beginning.')
    const isTypes = 'code' in failed && failed.code === 'ERR_UNKNOWN_FILE_EXTENSION'
    throw new CliError(
      `${this.#file} can't be tried: ${failed.failed}`,
      [...failed.lines.map((line) => line.trim()), ...(isTypes ? NEXT_OF_TYPES : NEXT)],
      { exitCode: 2 },
    )
  }

  #passOn(stream: Readable) {
    createInterface({ input: stream }).on('line', (line) => this.#onLine(line))
  }

  async #end() {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }
}

/** The next thing that it says; or how it has ended instead. */
function nextOf(worker: Worker, withinMs: number): Promise<{ said: Said } | { ended: string }> {
  return new Promise((resolve) => {
    const settle = (next: { said: Said } | { ended: string }) => {
      clearTimeout(timer)
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      resolve(next)
    }
    const onMessage = (said: Said) => settle({ said })
    const onError = (error: unknown) =>
      settle({ ended: `the code throws, and nobody catches: ${String(error)}` })
    const onExit = (code: number) => settle({ ended: `the code ends its process with ${code}` })
    const timer = setTimeout(
      () => settle({ ended: `the code does not end within ${withinMs} ms, and keeps its thread busy` }),
      withinMs,
    )
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
  })
}
