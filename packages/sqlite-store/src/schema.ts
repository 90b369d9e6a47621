import { StoreError } from '@mcp-durable/core/store'
import type { SqliteDatabase } from './sqlite-like.js'

/** `PRAGMA user_version` of a file that this code has written. */
const VERSION = 1

/**
 * `scope` or `log` is NULL where it was deleted: nothing finds it any more, and its rows go in small bites (`expiry.ts`). What belongs
 * to a scope lives as long as that, unless `expires_at` says otherwise. All times are ms since 1970.
 *
 * Entries are kept in the order in which they came, and found by an index: what many journals are given at once is few pages then.
 * `logs.owner`: of a journal whose call is open. `logs.entries` and `logs.bytes` are counted for logs that any node writes.
 */
const TABLES = `
CREATE TABLE scopes (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, scope TEXT, kind INTEGER NOT NULL, principal TEXT, server TEXT,
  protocol_version TEXT NOT NULL, version INTEGER NOT NULL, delivered TEXT NOT NULL, value_version INTEGER NOT NULL,
  value_bytes INTEGER NOT NULL DEFAULT 0, ttl_ms INTEGER, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  UNIQUE (name, scope));
CREATE INDEX scopes_by_expiry ON scopes (expires_at);
CREATE INDEX scopes_by_principal ON scopes (name, principal, kind, expires_at)
  WHERE principal IS NOT NULL AND scope IS NOT NULL;
CREATE TABLE states (
  scope INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE logs (
  id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, log TEXT, owner TEXT, claims INTEGER NOT NULL DEFAULT 0,
  joined INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0, kept_key TEXT,
  entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, trimmed INTEGER NOT NULL DEFAULT 0,
  expires_at INTEGER, UNIQUE (scope, log));
CREATE INDEX logs_by_expiry ON logs (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, log INTEGER NOT NULL, time INTEGER NOT NULL, seq INTEGER NOT NULL, after INTEGER NOT NULL,
  data TEXT NOT NULL);
CREATE UNIQUE INDEX entries_by_log ON entries (log, time, seq);
CREATE TABLE requests (
  scope INTEGER NOT NULL, key TEXT NOT NULL, log INTEGER NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE expected (scope INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (scope, name)) WITHOUT ROWID;
CREATE TABLE nonces (
  scope INTEGER NOT NULL, nonce TEXT NOT NULL, answer TEXT NOT NULL, expires_at INTEGER NOT NULL,
  PRIMARY KEY (scope, nonce)) WITHOUT ROWID;
CREATE INDEX nonces_by_expiry ON nonces (expires_at);
CREATE TABLE value_entries (
  scope INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, bytes INTEGER NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE value_marks (
  scope INTEGER NOT NULL, mark TEXT NOT NULL, expires_at INTEGER NOT NULL, PRIMARY KEY (scope, mark)) WITHOUT ROWID;
CREATE INDEX value_marks_by_expiry ON value_marks (expires_at);
CREATE TABLE maps (id INTEGER PRIMARY KEY, name TEXT NOT NULL, map TEXT NOT NULL, UNIQUE (name, map));
CREATE TABLE map_entries (
  map INTEGER NOT NULL, key BLOB NOT NULL, value TEXT NOT NULL, PRIMARY KEY (map, key)) WITHOUT ROWID;
CREATE TABLE map_marks (
  map INTEGER NOT NULL, mark TEXT NOT NULL, expires_at INTEGER NOT NULL, PRIMARY KEY (map, mark)) WITHOUT ROWID;
CREATE INDEX map_marks_by_expiry ON map_marks (expires_at);
CREATE TABLE nodes (
  name TEXT NOT NULL, node TEXT NOT NULL, beat_at INTEGER, about TEXT NOT NULL, PRIMARY KEY (name, node)) WITHOUT ROWID;
CREATE TABLE held (
  name TEXT NOT NULL, node TEXT NOT NULL, scope TEXT NOT NULL, PRIMARY KEY (name, node, scope)) WITHOUT ROWID;
CREATE TABLE due (
  name TEXT NOT NULL, scope TEXT NOT NULL, call TEXT NOT NULL, nonce TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (name, scope, call, nonce)) WITHOUT ROWID;
CREATE INDEX due_by_time ON due (name, at);
CREATE TABLE places (
  name TEXT NOT NULL, quota TEXT NOT NULL, scope TEXT NOT NULL, call TEXT NOT NULL, at INTEGER NOT NULL,
  expires_at INTEGER, PRIMARY KEY (name, quota, scope, call)) WITHOUT ROWID;
CREATE INDEX places_by_time ON places (name, quota, at);
CREATE INDEX places_by_expiry ON places (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE waiting (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, call TEXT NOT NULL, since INTEGER NOT NULL,
  quotas TEXT NOT NULL, quota TEXT NOT NULL, given_at INTEGER, UNIQUE (name, scope, call));
CREATE INDEX waiting_by_quota ON waiting (name, quota, id) WHERE given_at IS NULL;
CREATE TABLE histories (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, scope TEXT, principal TEXT, entries INTEGER NOT NULL DEFAULT 0,
  expires_at INTEGER NOT NULL, UNIQUE (name, scope));
CREATE INDEX histories_by_expiry ON histories (expires_at);
CREATE INDEX histories_by_principal ON histories (name, principal) WHERE principal IS NOT NULL AND scope IS NOT NULL;
CREATE TABLE history_entries (
  history INTEGER NOT NULL, time INTEGER NOT NULL, seq INTEGER NOT NULL, log TEXT NOT NULL, entry TEXT NOT NULL,
  data TEXT NOT NULL, PRIMARY KEY (history, time, seq)) WITHOUT ROWID;
PRAGMA user_version = ${VERSION};`

/** 64 MiB: what a write-ahead log shrinks to after it was larger, as by one large transaction. */
const MOST_LOG_BYTES = 64 * 1024 * 1024

export type Synchronous = 'full' | 'normal'

/** Readies a handle, and makes the tables where there are none. Throws what the driver throws while the file is busy. */
export function openSchema(database: SqliteDatabase, synchronous: Synchronous) {
  // The driver would block the process; who waits is told by the others instead.
  database.exec('PRAGMA busy_timeout = 0')
  requireOwn(database)
  // Before anything else is written: it can't be changed later.
  if (versionOf(database) === 0) database.exec('PRAGMA auto_vacuum = INCREMENTAL')
  database.exec('PRAGMA journal_mode = WAL')
  database.exec(`PRAGMA synchronous = ${synchronous.toUpperCase()}`)
  database.exec(`PRAGMA journal_size_limit = ${MOST_LOG_BYTES}`)
  if (versionOf(database) === VERSION) return
  database.exec('BEGIN IMMEDIATE')
  try {
    requireKnown(database)
    if (versionOf(database) === 0) database.exec(TABLES)
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

/** Tables are made where there are none, and not beside those of others. */
function requireOwn(database: SqliteDatabase) {
  // Else another process could make them between the two looks.
  database.exec('BEGIN')
  try {
    const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
    if (isEmpty || versionOf(database) > 0) return
    throw new StoreError(
      'store-refused',
      'This SQLite file is of another program. Nothing was changed: give the store a file of its own.',
    )
  } finally {
    database.exec('COMMIT')
  }
}

/** A file of a later version is left as it is. */
export function requireKnown(database: SqliteDatabase) {
  const version = versionOf(database)
  if (version <= VERSION) return
  throw new StoreError(
    'store-refused',
    `The SQLite file was written by a later version of @mcp-durable/sqlite-store (its schema is ${version}, known is ${VERSION}). Nothing was changed: install that version here too.`,
  )
}

export const versionOf = (database: SqliteDatabase) =>
  (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
