import type { Transfer } from '@mcp-durable/core/transfer'
import { Reading } from '../inspect/reading.js'
import type { SqliteDatabase } from '../sqlite-like.js'
import { Pieces } from './pieces.js'
import { PiecePutter } from './put.js'

export { openTarget } from './open-target.js'

/**
 * Moves what `sqliteStore` keeps of `durable()` of this name or of none, in either direction. The file has its tables: a store was opened on
 * it. To put pieces, the handle must be able to write. Throws a `StoreError` where the file can't be read or written.
 */
export function transferSqlite(
  database: SqliteDatabase,
  { name }: { name?: string | undefined } = {},
): Transfer {
  const reading = new Reading(database, name)
  const pieces = new Pieces(reading)
  const putter = new PiecePutter(reading)
  return {
    names: () => pieces.names(),
    pieces: () => pieces.all(),
    put: (piece) => putter.put(piece),
  }
}
