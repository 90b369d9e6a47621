import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnNode } from '../../test-support/index.js'
import type { NodeProcess } from '../../test-support/index.js'
import { sendCommand } from './commands.js'
import type { ContestantCommands } from './contestant.js'
import type { Kind } from './contestant/mounts.js'
import type { LoadCommands } from './load.js'

// What runs is always the compiled program, whether this file is compiled or not.
const HERE = fileURLToPath(new URL('.', import.meta.url))
export const PROGRAMS = HERE.includes('/dist/') ? HERE : `${HERE}../dist/bench/src/`
/** As in production, for all. */
const env = { NODE_ENV: 'production' }

type Command = (input: never) => unknown
type Output<C> = C extends (input: never) => infer O ? Awaited<O> : never

/** A process of the bench, and what it can be told to do. */
class Worker<Commands extends Record<keyof Commands, Command>> implements AsyncDisposable {
  readonly process: NodeProcess
  readonly #url: string

  constructor(process: NodeProcess, url: string) {
    this.process = process
    this.#url = url
  }

  async tell<Name extends keyof Commands & string>(
    name: Name,
    ...[input]: Parameters<Commands[Name]>
  ): Promise<Output<Commands[Name]>> {
    try {
      return (await sendCommand(`${this.#url}/${name}`, input ?? {})) as Output<Commands[Name]>
    } catch (cause) {
      throw new Error(`${name} failed\n${this.process.output.slice(-2000)}`, { cause })
    }
  }

  async [Symbol.asyncDispose]() {
    await this.process[Symbol.asyncDispose]()
  }
}

export class Load extends Worker<LoadCommands> {
  static async start(): Promise<Load> {
    const started = await spawnNode(`${PROGRAMS}load.js`, [], { env })
    return new Load(started, started.url)
  }
}

export class Contestant extends Worker<ContestantCommands> {
  readonly kind: Kind

  private constructor(process: NodeProcess, commands: string, kind: Kind) {
    super(process, commands)
    this.kind = kind
  }

  static async start(kind: Kind, place = '', settings: object = {}): Promise<Contestant> {
    const started = await spawnNode(`${PROGRAMS}contestant.js`, [kind, place, JSON.stringify(settings)], {
      env,
      ready: /listening on (http:\/\/\S+), commands/,
    })
    const [, commands = ''] = /commands on (\S+)/.exec(started.output) ?? []
    return new Contestant(started, commands, kind)
  }

  get url(): string {
    return `${this.process.url}/mcp`
  }

  /** Does the work under a CPU profile, if one is wanted. */
  async profiled<T>(file: string | undefined, work: () => Promise<T>): Promise<T> {
    if (file === undefined) return work()
    const path = resolve(file)
    await mkdir(join(path, '..'), { recursive: true })
    await this.tell('startProfile')
    try {
      return await work()
    } finally {
      await this.tell('stopProfile', { file: path })
    }
  }
}
