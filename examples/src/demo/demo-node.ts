import { freePort } from '../free-port.js'
import { startProgram, type Program } from '../processes.js'

/** A node: a process of its own. */
export class DemoNode implements AsyncDisposable {
  readonly url: string
  readonly #flags: readonly string[]
  #program: Program

  private constructor(flags: readonly string[], program: Program) {
    this.url = program.url
    this.#flags = flags
    this.#program = program
  }

  static async start(flags: readonly string[]): Promise<DemoNode> {
    const onePort = ['--port', String(await freePort()), ...flags]
    return new DemoNode(onePort, await startProgram('demo/node', onePort))
  }

  /** What its `which_node` answers, if tools run on it. */
  get name(): string {
    return `pid ${this.#program.pid}`
  }

  /** With SIGKILL. */
  kill(): Promise<void> {
    return this.#program.kill()
  }

  /** Starts a new node in its place, at the same address. */
  async restart(): Promise<void> {
    this.#program = await startProgram('demo/node', this.#flags)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program.stop()
  }
}
