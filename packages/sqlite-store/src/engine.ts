import type { Unwatch, WatchListener } from '@mcp-durable/core/store'
import { Expiry } from './expiry.js'
import { Listeners } from './listeners.js'
import { OpenedFile } from './opened-file.js'
import type { Wake } from './peer-messages.js'
import { Peers } from './peers.js'
import { openSchema } from './schema.js'
import type { Synchronous } from './schema.js'
import type { SqliteDatabase } from './sqlite-like.js'
import { Statements } from './statements.js'
import { Transactions } from './transactions.js'
import type { Connection } from './transactions.js'

export type EngineOptions = { synchronous: Synchronous; deadlineMs: number }
/** A handle that was given, or one that is opened when it is needed and closed when nobody uses it. */
export type Source = { open: () => SqliteDatabase; isOwn: boolean }

/** One handle, and all that uses it: transactions, other processes, those who watch, and what expires. */
export class Engine {
  readonly #source: Source
  readonly #options: EngineOptions
  readonly #listeners = new Listeners(() => this.#connection?.peers.watchesNodes())
  readonly #transactions: Transactions
  readonly #expiry: Expiry
  readonly #users = new Set<object>()
  #database: SqliteDatabase | undefined
  #connection: Connection | undefined

  constructor(source: Source, options: EngineOptions) {
    this.#source = source
    this.#options = options
    const tell = (wakes: readonly Wake[]) => this.#listeners.tell(wakes)
    this.#transactions = new Transactions(() => this.#connect(), options.deadlineMs, tell)
    this.#expiry = new Expiry(this)
  }

  get synchronous(): Synchronous {
    return this.#options.synchronous
  }

  /** Within a transaction. */
  get sql(): Statements {
    return this.#connect().sql
  }

  read<T>(work: (now: number) => T): Promise<T> {
    return this.#transactions.add(false, work)
  }

  write<T>(work: (now: number) => T): Promise<T> {
    return this.#transactions.add(true, work)
  }

  wake(wake: Wake) {
    this.#transactions.wake(wake)
  }

  /** Sentences for the log. */
  async risks(): Promise<string[]> {
    await this.hears()
    const { problem } = this.#connect().peers
    return problem === undefined ? [] : [problem]
  }

  /** Something goes at that time. */
  expires(at: number) {
    this.#expiry.expires(at)
  }

  listen(name: string | undefined, scope: string, listener: WatchListener): Unwatch {
    return this.#listeners.add(name, scope, listener)
  }

  /** Resolves when those who listen hear what other processes tell. */
  async hears() {
    await this.read(() => undefined)
    await this.#connect().peers.ready()
  }

  async isWatched(name: string | undefined, scope: string): Promise<boolean> {
    if (this.#listeners.has(name, scope)) return true
    await this.hears()
    return this.#connect().peers.isWatched(name, scope)
  }

  use(user: object) {
    this.#users.add(user)
  }

  /** When its last user is gone, the file is left; it is opened again if it is used again. */
  async leave(user: object) {
    this.#users.delete(user)
    await this.#transactions.idle()
    const connection = this.#connection
    if (this.#users.size > 0 || !connection) return
    this.#connection = undefined
    this.#expiry.stop()
    if (this.#source.isOwn) this.#database?.close()
    this.#database = undefined
    await connection.peers.close()
  }

  #connect(): Connection {
    if (this.#connection) return this.#connection
    const database = (this.#database ??= this.#source.open())
    openSchema(database, this.#options.synchronous)
    const path = pathOf(database)
    const peers = Peers.open(path, (wakes) => this.#listeners.tell(wakes), this.#listeners)
    const opened = path === undefined ? undefined : new OpenedFile(path)
    this.#connection = { sql: new Statements(database), peers, file: opened }
    this.#expiry.start()
    return this.#connection
  }
}

/** `undefined`: it is in memory. */
export function pathOf(database: SqliteDatabase): string | undefined {
  const files = database.prepare('PRAGMA database_list').all() as Array<{ name: string; file: string | null }>
  return files.find(({ name }) => name === 'main')?.file || undefined
}
