import type { Inspection } from '@mcp-durable/core/inspect'
import type { SqliteDatabase } from '../sqlite-like.js'
import { SqliteCalls } from './calls.js'
import { FileInspection } from './file.js'
import { SqliteLogs } from './logs.js'
import { SqliteMaps } from './maps.js'
import { SqliteNodes } from './nodes.js'
import { Reading } from './reading.js'
import { SqliteSessions } from './sessions.js'

/** What any store shows, and the file. */
export interface SqliteInspection extends Inspection {
  readonly file: FileInspection
}

/**
 * Looks into what `sqliteStore` keeps, of `durable()` of this name or of none. The handle is used by nobody else; one that may only read is
 * enough. Each read is short and takes no lock that anybody waits for. Throws a `StoreError` for a file of a later version.
 */
export function inspectSqlite(
  database: SqliteDatabase,
  { name }: { name?: string | undefined } = {},
): SqliteInspection {
  const reading = new Reading(database, name)
  return {
    nodes: new SqliteNodes(reading),
    sessions: new SqliteSessions(reading),
    calls: new SqliteCalls(reading),
    logs: new SqliteLogs(reading),
    maps: new SqliteMaps(reading),
    file: new FileInspection(database),
  }
}

export { openReadOnly } from './open-read-only.js'
export type { FileInspection, InspectedFile } from './file.js'
