import { StoreError } from '@mcp-durable/core/store'

/** Result codes of SQLite: each by its lowest byte, and by the words that SQLite has for it. */
const CODES = [
  { code: 'SQLITE_BUSY', number: 5, words: 'database is locked' },
  { code: 'SQLITE_LOCKED', number: 6, words: 'database table is locked' },
  { code: 'SQLITE_READONLY', number: 8, words: 'attempt to write a readonly database' },
  { code: 'SQLITE_IOERR', number: 10, words: 'disk I/O error' },
  { code: 'SQLITE_CORRUPT', number: 11, words: 'database disk image is malformed' },
  { code: 'SQLITE_FULL', number: 13, words: 'database or disk is full' },
  { code: 'SQLITE_CANTOPEN', number: 14, words: 'unable to open database file' },
  { code: 'SQLITE_TOOBIG', number: 18, words: 'string or blob too big' },
  { code: 'SQLITE_NOTADB', number: 26, words: 'file is not a database' },
] as const

const NEXT_STEP: Record<string, string> = {
  SQLITE_FULL: 'Make room on its disk; it goes on by itself.',
  SQLITE_READONLY: 'Let this process write the file and its folder.',
  SQLITE_CORRUPT:
    'Its file is damaged. Stop all processes that use it, keep a copy, and restore a backup, or what `sqlite3 FILE .recover` finds.',
  SQLITE_NOTADB: 'It is no SQLite database: give the store a file of its own.',
  SQLITE_CANTOPEN: 'Look whether its folder is there, and may be written.',
}

/**
 * `SQLITE_BUSY` and so on, as far as the driver tells: by name (better-sqlite3, libsql), by number (node:sqlite), or in words alone
 * (node:sqlite of Deno, of what `exec` does).
 */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code, errcode, message } = error as { code?: unknown; errcode?: unknown; message?: unknown }
  const isIt = (known: (typeof CODES)[number]) => {
    if (typeof errcode === 'number') return known.number === (errcode & 0xff)
    if (typeof code === 'string' && code.startsWith('SQLITE_'))
      return code === known.code || code.startsWith(`${known.code}_`)
    return typeof message === 'string' && message.startsWith(known.words)
  }
  return CODES.find(isIt)?.code
}

export function isBusy(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED'
}

export function storeError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  const [code, message] = [codeOf(cause) ?? '', cause instanceof Error ? cause.message : String(cause)]
  if (code === 'SQLITE_TOOBIG')
    return new StoreError('store-refused', `SQLite refuses this, and would each time: ${message}`, { cause })
  if (code === 'SQLITE_IOERR') {
    const outcome =
      'The outcome is unknown; it may be repeated. Look at the disk, and at what the system says of it (dmesg).'
    return new StoreError(
      'store-timeout',
      `SQLite could not read or write its file: ${message}. ${outcome}`,
      { cause },
    )
  }
  if (isClosed(cause)) {
    const next = 'Close it after the store, not before.'
    return new StoreError(
      'store-unavailable',
      `The SQLite database was closed, and nothing was done. ${next}`,
      { cause },
    )
  }
  const next = NEXT_STEP[code] ?? ''
  return new StoreError(
    'store-failed',
    `SQLite failed, and nothing was changed: ${message}. ${next}`.trim(),
    {
      cause,
    },
  )
}

/** What drivers say of a handle that the application has closed. */
const isClosed = (cause: unknown) =>
  cause instanceof Error && /^(The database connection|database) is not open$/.test(cause.message)

/** Nothing of it was done. */
export const busyError = (ms: number) =>
  new StoreError(
    'store-timeout',
    `Another process held the SQLite file for ${ms} ms. Nothing was changed; it may be repeated.`,
  )
