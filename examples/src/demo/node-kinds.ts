import { createServer } from 'node:http'
import { durable, type Served, type Store } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { listen } from '../listen.js'
import { startProgram, type Program } from '../processes.js'

export interface DemoNode extends AsyncDisposable {
  /** What its `which_node` answers, if tools run on it. */
  readonly name: string
  readonly url: string
  kill(): Promise<void>
  /** Starts a new node in its place, at the same address. */
  restart(): Promise<void>
}

/** A node that is a process of its own. */
export class ProcessNode implements DemoNode {
  readonly url: string
  readonly #flags: readonly string[]
  #program: Program

  private constructor(flags: readonly string[], program: Program) {
    this.url = program.url
    this.#flags = flags
    this.#program = program
  }

  static async start(flags: readonly string[]): Promise<ProcessNode> {
    return new ProcessNode(flags, await startProgram('demo/node', flags))
  }

  get name(): string {
    return `pid ${this.#program.pid}`
  }

  kill(): Promise<void> {
    return this.#program.kill()
  }

  async restart(): Promise<void> {
    this.#program = await startProgram('demo/node', ['--port', new URL(this.url).port, ...this.#flags])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program.stop()
  }
}

type Running = { url: string; close(): Promise<void> }

/** A node in this process. It cannot die, so it leaves as fast as it can, and hands its calls over. */
export class LocalNode implements DemoNode {
  readonly name: string
  readonly url: string
  readonly #run: (port: number) => Promise<Running>
  #running: Running | undefined

  private constructor(name: string, run: (port: number) => Promise<Running>, running: Running) {
    this.name = name
    this.url = running.url
    this.#run = run
    this.#running = running
  }

  static async start(name: string, store: Store, what: Served): Promise<LocalNode> {
    const run = async (port: number): Promise<Running> => {
      const mcp = durable({ ...what, store })
      const server = await listen(createServer(node(mcp)), '127.0.0.1', port)
      return { url: server.url, close: () => server.close(() => mcp.close({ graceMs: 0 })) }
    }
    return new LocalNode(name, run, await run(0))
  }

  async kill(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    await running?.close()
  }

  async restart(): Promise<void> {
    this.#running = await this.#run(Number(new URL(this.url).port))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
