import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { runsOf } from '@mcp-durable/core/runs'
import type { Runs } from '@mcp-durable/core/runs'
import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import type { Connected, Patience } from './connect/connected.js'
import { connectEnd } from './connect/ends.js'
import { sealedWith, withKeys } from './connect/key-file.js'
import { connectRedis } from './connect/redis.js'
import { connectSqlite, makeStore } from './connect/sqlite.js'
import { usageError } from './errors.js'
import type { End } from './migrate/end.js'
import { Output } from './show/output.js'
import { Privacy } from './show/privacy.js'

/** Options by their names, and those that every command takes. */
export type Values = Record<string, string | boolean | undefined>
export type GlobalOptions = {
  redis: string | undefined
  sqlite: string | undefined
  prefix: string
  name: string | undefined
  keyFile: string | undefined
  secrets: string | undefined
  json: boolean
  color: boolean
  showPayloads: boolean
  fullIds: boolean
}

const DEFAULT_FILE = 'mcp.db'

/** What a command is given. Connections are made when they are asked for, and end with it. */
export class Context implements AsyncDisposable {
  readonly options: GlobalOptions
  readonly values: Values
  readonly args: readonly string[]
  readonly output: Output
  readonly privacy: Privacy
  readonly #closing: Array<() => unknown> = []

  constructor(options: GlobalOptions, values: Values, args: readonly string[]) {
    this.options = options
    this.values = values
    this.args = args
    this.output = new Output(options)
    this.privacy = new Privacy(options)
  }

  /** The argument at an index; the command line has been checked for it. */
  arg(index: number): string {
    return this.args[index] ?? ''
  }

  /** To the store that is named; where none is, to the file of this folder, or else to the Redis of this machine. */
  async connect(patience: Patience = { patient: false }): Promise<Connected> {
    const { keyFile } = this.options
    const { secrets } = (await this.connectSecrets()) ?? {}
    const stored = await this.connectStored(patience)
    return keyFile === undefined ? stored : withKeys(stored, keyFile, secrets)
  }

  /** To the store of the secrets, where one is named. */
  async connectSecrets(): Promise<{ inspect: Inspection; secrets: Store } | undefined> {
    const { secrets: named, keyFile } = this.options
    if (named === undefined) return undefined
    if (keyFile === undefined)
      throw usageError('--secrets needs --key-file FILE: secrets are sealed with keys.')
    const part = (await this.connectEnd(named, 'from')).part(undefined)
    const secrets = part.open()
    this.#closing.push(() => secrets.close())
    return { inspect: part.inspect, secrets }
  }

  /** The same, with what is sealed as it is stored. */
  async connectStored(patience: Patience = { patient: false }): Promise<Connected> {
    const { name } = this.options
    const file =
      this.options.sqlite ?? (!this.#namesRedis && existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined)
    const stored = file === undefined ? await connectRedis(this.options, patience) : connectSqlite(file, name)
    this.#closing.push(() => stored.close())
    return stored
  }

  /** One end of a migration. */
  async connectEnd(text: string, role: 'from' | 'to'): Promise<End> {
    const end = await connectEnd(text, role, this.options.prefix)
    this.#closing.push(() => end.close())
    return end
  }

  /** The store itself, to be woken by it, and to delete. */
  store(connected: Connected, plain?: 'read' | 'refuse'): Store {
    const store = connected.open(plain)
    this.#closing.push(() => store.close())
    return store
  }

  /** The store of a node, which this process is; without a Redis, in a file, which is made if it is not there. */
  async nodeStore(): Promise<{ store: Store; file?: string }> {
    const { sqlite, name, keyFile } = this.options
    if (sqlite === undefined && this.#namesRedis)
      return { store: this.store(await this.connect({ patient: true })) }
    const file = sqlite ?? DEFAULT_FILE
    const made = makeStore(file, name)
    const { secrets } = (await this.connectSecrets()) ?? {}
    const store = keyFile === undefined ? made : sealedWith(made, keyFile, secrets)
    this.#closing.push(() => store.close())
    return { store, file: resolve(file) }
  }

  get #namesRedis(): boolean {
    return this.options.redis !== undefined || this.values['prefix'] !== undefined
  }

  /**
   * Acting on calls, in the name of `--by`, or of whoever uses this machine. What is read is written again, sealed: so with keys nothing is
   * taken that is not sealed, unless it is said to be expected.
   */
  runs(connected: Connected): Runs {
    const { by = userOfThisMachine() } = this.values
    if (!isName(by)) throw usageError(`--by is one line of 1 to 200 characters, not '${String(by)}'.`)
    const plain = this.values['read-plain'] === true ? 'read' : 'refuse'
    return runsOf(this.store(connected, plain), { by })
  }

  async [Symbol.asyncDispose]() {
    for (const close of this.#closing.toReversed()) await close()
  }
}

const isName = (by: unknown): by is string => typeof by === 'string' && /^\P{Cc}{1,200}$/u.test(by)

function userOfThisMachine(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`
  }
}
