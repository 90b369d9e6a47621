import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'
import { openDatabase } from '../sqlite.js'
import type { StepsJob } from './steps.js'

/** What a transaction needs beside its rows. */
type Raw = { database: SqliteDatabase; logs: number }
let raw: Raw | undefined

/**
 * Plain inserts of the entries of a call that has been measured, into a file beside that of the store, with its settings: for so many
 * calls at once one entry each in a transaction, which is waited for before the next one.
 */
export async function insertsPerSecond(path: string, { lanes, steps, ms }: StepsJob): Promise<number> {
  const entries = entriesOfCall(path, steps)
  raw ??= { database: rawDatabase(`${path}-raw`), logs: 0 }
  const insert = raw.database.prepare('INSERT INTO entries VALUES (?, ?, ?)')
  const began = performance.now()
  let done = 0
  do {
    const from = raw.logs
    raw.logs += lanes
    for (const [seq, data] of entries.entries()) {
      raw.database.exec('BEGIN IMMEDIATE')
      for (let lane = 0; lane < lanes; lane++) insert.run(from + lane, seq, data)
      raw.database.exec('COMMIT')
      done += lanes
      await nextTurn()
    }
  } while (performance.now() < began + ms)
  return (done * 1000) / (performance.now() - began)
}

function rawDatabase(path: string) {
  const database = openDatabase(path)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    'CREATE TABLE entries (log INTEGER, seq INTEGER, data TEXT, PRIMARY KEY (log, seq)) WITHOUT ROWID',
  )
  return database
}

/** The steps in the journal of a call that has been measured. */
function entriesOfCall(path: string, steps: number): string[] {
  const database = openDatabase(path)
  const ended = `SELECT log FROM entries WHERE data LIKE '%"done"%' GROUP BY log HAVING count(*) = ? LIMIT 1`
  const found = database.prepare(ended).get(steps) as { log: number } | undefined
  const select = `SELECT data FROM entries WHERE log = ? AND data LIKE '%"done"%'`
  const rows = found ? (database.prepare(select).all(found.log) as { data: string }[]) : []
  database.close()
  if (rows.length !== steps) throw new Error(`no journal has ${steps} steps`)
  return rows.map(({ data }) => data)
}
