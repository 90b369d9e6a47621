// The store
export { file } from './file.js'
export { sqliteStore } from './sqlite-store.js'
export type { SqliteStoreOptions } from './check-options.js'

// What it needs of a database
export type { SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite-like.js'
