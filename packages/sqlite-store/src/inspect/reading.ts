import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '@mcp-durable/core/store'
import { busyError, isBusy, storeError } from '../errors.js'

import { requireKnown, versionOf } from '../schema.js'
import type { SqliteDatabase, SqliteValue } from '../sqlite-like.js'
import { Statements } from '../statements.js'

type Given = SqliteValue | undefined

const BUSY_MS = 5000
const AGAIN_MS = 10

/** Reads, and nothing else: each answer is a transaction of its own, so none keeps the file for long. */
export class Reading {
  /** As in the tables. */
  readonly name: string
  readonly #sql: Statements

  /** Throws a `StoreError` for a file of a later version, and what the driver throws for one that it can't read. */
  constructor(database: SqliteDatabase, name: string | undefined) {
    // Whoever closes the file last holds it for a moment, and so does whoever opens it first.
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
    requireKnown(database)
    requireTables(database)
    database.exec('PRAGMA busy_timeout = 0')
    this.#sql = new Statements(database)
    this.name = name === undefined ? '' : `=${name}`
  }

  all<T extends object>(sql: string, ...values: Given[]): Promise<T[]> {
    return this.#tried(() => this.#sql.all<T>(sql, ...values))
  }

  get<T extends object>(sql: string, ...values: Given[]): Promise<T | undefined> {
    return this.#tried(() => this.#sql.get<T>(sql, ...values))
  }

  async number(sql: string, ...values: Given[]): Promise<number> {
    return (await this.get<{ n: number }>(sql, ...values))?.n ?? 0
  }

  /**
   * Rows by pages: of `sql` with the column `id`, the last one of the page before and how many being its last two parameters.
   */
  async *pages<T extends { id: number }>(sql: string, size: number, ...values: Given[]): AsyncGenerator<T[]> {
    for (let after = 0; ;) {
      const page = await this.all<T>(sql, ...values, after, size)
      if (page.length > 0) yield page
      const last = page.at(-1)
      if (page.length < size || !last) return
      after = last.id
    }
  }

  /** For what moves data here: all of it, or nothing. */
  write(work: (sql: Statements) => void): Promise<void> {
    return this.#tried(() => {
      this.#sql.exec('BEGIN IMMEDIATE')
      try {
        work(this.#sql)
        this.#sql.exec('COMMIT')
      } catch (error) {
        rollBack(this.#sql)
        throw error
      }
    })
  }

  async #tried<T>(read: () => T): Promise<T> {
    const until = performance.now() + BUSY_MS
    for (;;) {
      try {
        return read()
      } catch (error) {
        if (!isBusy(error)) throw storeError(error)
        if (performance.now() >= until) throw busyError(BUSY_MS)
        await sleep(AGAIN_MS)
      }
    }
  }
}

/** SQLite has done it by itself after some errors. */
function rollBack(sql: Statements) {
  try {
    sql.exec('ROLLBACK')
  } catch {}
}

function requireTables(database: SqliteDatabase) {
  if (versionOf(database) === 0)
    throw new StoreError(
      'store-refused',
      'This SQLite file holds no tables of a store: no node has used it yet, or it is of another program.',
    )
}
