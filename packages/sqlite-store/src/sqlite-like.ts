/** What a statement takes and gives. Texts that hold a NUL character travel as bytes: drivers end a text there. */
export type SqliteValue = string | number | bigint | null | Uint8Array

/**
 * What is used of a database handle: `DatabaseSync` of node:sqlite, `Database` of better-sqlite3 and of libsql fit. The store has it for
 * itself: it begins and ends transactions.
 */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
}

export interface SqliteStatement {
  run(...values: SqliteValue[]): { changes: number | bigint }
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
}
