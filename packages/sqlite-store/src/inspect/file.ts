import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { networkFileSystem } from '../network-file-systems.js'
import type { SqliteDatabase } from '../sqlite-like.js'

/** What is known of the file itself. Sizes in bytes. */
export type InspectedFile = {
  path: string
  size: number
  /** Of what was written last, and is not in the file itself yet. */
  walSize: number
  /** Of pages in the file that hold nothing. */
  free: number
  journalMode: string
  /** Version of the schema. */
  version: number
  /** Bits of its permissions. */
  mode: number
  /** What kind of network file system it is on; `undefined`: none that is known. */
  network: string | undefined
  /** Of the file system. */
  disk: { free: number; size: number }
}

export class FileInspection {
  readonly #database: SqliteDatabase

  constructor(database: SqliteDatabase) {
    this.#database = database
  }

  /** `undefined`: the database is in memory. */
  async read(): Promise<InspectedFile | undefined> {
    const path = this.#main()
    if (path === '') return undefined
    const [file, wal, disk] = await Promise.all([
      stat(path),
      stat(`${path}-wal`).catch(() => undefined),
      statfs(path),
    ])
    return {
      path,
      size: file.size,
      walSize: wal?.size ?? 0,
      free: Number(this.#pragma('freelist_count')) * Number(this.#pragma('page_size')),
      journalMode: String(this.#pragma('journal_mode')),
      version: Number(this.#pragma('user_version')),
      mode: file.mode & 0o777,
      network: networkFileSystem(dirname(path)),
      disk: { free: disk.bavail * disk.bsize, size: disk.blocks * disk.bsize },
    }
  }

  /** What is damaged, in SQLite's words; `[]`: nothing. Table by table, each of which is read from end to end. */
  *quickCheck(): Generator<string[]> {
    const tables = this.#database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
    for (const { name } of tables as Array<{ name: string }>) {
      const rows = this.#database.prepare(`PRAGMA quick_check("${name.replaceAll('"', '""')}")`).all()
      yield (rows as Array<{ quick_check: string }>)
        .map(({ quick_check: found }) => found)
        .filter((found) => found !== 'ok')
    }
  }

  #main(): string {
    const files = this.#database.prepare('PRAGMA database_list').all() as Array<{
      name: string
      file: string
    }>
    return files.find(({ name }) => name === 'main')?.file ?? ''
  }

  #pragma(name: string): unknown {
    const row = this.#database.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>
    return row[name]
  }
}
