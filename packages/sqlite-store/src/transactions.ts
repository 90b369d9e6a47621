import { setTimeout as sleep } from 'node:timers/promises'
import { busyError, isBusy, storeError } from './errors.js'
import type { OpenedFile } from './opened-file.js'
import type { Peers, Wake } from './peers.js'
import type { Statements } from './statements.js'

/** So many operations are one transaction at most: the event loop stands still meanwhile. */
const MOST = 256
/** Where nobody can tell when the file is free. */
const BUSY_MS = 5

type Task = {
  work: (now: number) => unknown
  writes: boolean
  /** By `performance.now()`. */
  until: number
  resolve: (value: never) => void
  reject: (error: unknown) => void
}

/** What transactions need of the handle they run on. */
export type Connection = { sql: Statements; peers: Peers; file: OpenedFile | undefined }

/**
 * Group commit: what has come in one turn of the event loop is one transaction, and is acknowledged by one write to the disk. If
 * one of them throws, or all of it does not fit, each is done again in a transaction of its own, so none fails for another one.
 * Reads come in order with the writes, and take no lock where there are none.
 *
 * Nothing waits in the driver for another process: that would stop the event loop.
 */
export class Transactions {
  readonly #connect: () => Connection
  readonly #deadlineMs: number
  readonly #onWakes: (wakes: readonly Wake[]) => void
  readonly #queue: Task[] = []
  /** Of the transaction that runs. */
  #wakes: Wake[] = []
  #running: Promise<void> | undefined

  constructor(connect: () => Connection, deadlineMs: number, onWakes: (wakes: readonly Wake[]) => void) {
    this.#connect = connect
    this.#deadlineMs = deadlineMs
    this.#onWakes = onWakes
  }

  /** `work` may run more than once, and what it did is undone before: it changes nothing but the database. */
  add<T>(writes: boolean, work: (now: number) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ work, writes, until: performance.now() + this.#deadlineMs, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Told to those who watch when the transaction is committed. */
  wake(wake: Wake) {
    this.#wakes.push(wake)
  }

  /** When nothing is left to do. */
  async idle() {
    while (this.#running) await this.#running
  }

  async #run() {
    while (this.#queue.length > 0) {
      await new Promise(setImmediate)
      const tasks = this.#queue.splice(0, MOST)
      for (const task of await this.#commit(tasks)) await this.#commit([task])
    }
    this.#running = undefined
  }

  /** Resolves to those of several of which one has failed: nothing of them was done, and nobody was told. */
  async #commit(tasks: Task[]): Promise<Task[]> {
    const writes = tasks.some((task) => task.writes)
    let left = tasks
    for (;;) {
      let connection: Connection | undefined
      try {
        connection = this.#connect()
        if (writes) await connection.peers.turn()
        const outcomes = this.#attempt(connection, left, writes)
        for (const [i, { resolve }] of left.entries()) resolve(outcomes[i] as never)
        this.#committed(connection.peers, writes)
        return []
      } catch (error) {
        this.#wakes = []
        const isOver = !isBusy(error) || (left = this.#inTime(left)).length === 0
        if (isOver && writes) connection?.peers.committed([])
        if (isOver && left.length > 1) return left
        if (isOver) left[0]?.reject(storeError(error))
        if (isOver) return []
        await (connection?.peers.busy() ?? sleep(BUSY_MS))
      }
    }
  }

  #attempt({ sql, file }: Connection, tasks: readonly Task[], writes: boolean): unknown[] {
    sql.exec(writes ? 'BEGIN IMMEDIATE' : 'BEGIN')
    try {
      file?.requireThere()
      const now = Date.now()
      const outcomes = tasks.map(({ work }) => work(now))
      sql.exec('COMMIT')
      return outcomes
    } catch (error) {
      rollBack(sql)
      throw error
    }
  }

  #committed(peers: Peers, writes: boolean) {
    const wakes = this.#wakes
    this.#wakes = []
    if (writes || wakes.length > 0) peers.committed(wakes)
    if (wakes.length > 0) setImmediate(this.#onWakes, wakes)
  }

  #inTime(tasks: readonly Task[]): Task[] {
    const now = performance.now()
    return tasks.filter(({ until, reject }) => {
      if (now >= until) reject(busyError(this.#deadlineMs))
      return now < until
    })
  }
}

/** SQLite has done it by itself after some errors. */
function rollBack(sql: Statements) {
  try {
    sql.exec('ROLLBACK')
  } catch {}
}
