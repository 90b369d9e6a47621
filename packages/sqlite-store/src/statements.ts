import { isAnyArrayBuffer, isUint8Array } from 'node:util/types'
import type { SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite-like.js'

type Given = SqliteValue | undefined
type Row = Record<string, SqliteValue>

/** The statements of one handle. Each is prepared once; `undefined` is NULL. */
export class Statements {
  readonly #database: SqliteDatabase
  readonly #prepared = new Map<string, SqliteStatement>()

  constructor(database: SqliteDatabase) {
    this.#database = database
  }

  /** Where a transaction begins and ends. libsql never resets a prepared statement that found the file busy, and then no read can end. */
  exec(sql: 'BEGIN' | 'BEGIN IMMEDIATE' | 'COMMIT' | 'ROLLBACK') {
    this.#database.exec(sql)
  }

  /** Gives pages that are free back to the disk. A prepared statement has a row for each in libsql, and none in better-sqlite3. */
  vacuum(pages: number) {
    this.#database.exec(`PRAGMA incremental_vacuum(${pages})`)
  }

  /** How many rows it has changed. */
  run(sql: string, ...values: Given[]): number {
    return Number(this.#statement(sql).run(...bound(values)).changes)
  }

  // oxlint-disable-next-line no-unnecessary-type-parameters -- the columns of the statement
  get<T extends object>(sql: string, ...values: Given[]): T | undefined {
    const row = this.#statement(sql).get(...bound(values))
    return row === undefined || row === null ? undefined : (decoded(row as Row) as T)
  }

  all<T extends object>(sql: string, ...values: Given[]): T[] {
    return this.#statement(sql)
      .all(...bound(values))
      .map((row) => decoded(row as Row) as T)
  }

  #statement(sql: string): SqliteStatement {
    let statement = this.#prepared.get(sql)
    if (!statement) {
      statement = this.#database.prepare(sql)
      this.#prepared.set(sql, statement)
    }
    return statement
  }
}

function bound(values: Given[]): SqliteValue[] {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === undefined) values[i] = null
    // A time so far is never: node:sqlite would not read it again.
    else if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER) values[i] = Number.MAX_SAFE_INTEGER
    else if (typeof value === 'string' && value.includes('\0')) values[i] = Buffer.from(value)
  }
  return values as SqliteValue[]
}

/** Bytes are an ArrayBuffer in libsql. */
function decoded(row: Row): Row {
  for (const column in row) {
    const value = row[column] as unknown
    if (isUint8Array(value) || isAnyArrayBuffer(value))
      row[column] = Buffer.from(value as Uint8Array).toString()
  }
  return row
}
