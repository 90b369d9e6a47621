import { StoreError } from '@mcp-durable/core/store'

/** Result codes of SQLite, by their lowest byte. */
const CODES: Record<number, string> = {
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  18: 'SQLITE_TOOBIG',
  26: 'SQLITE_NOTADB',
}

const NEXT_STEP: Record<string, string> = {
  SQLITE_FULL: 'Make room on its disk; it goes on by itself.',
  SQLITE_READONLY: 'Let this process write the file and its folder.',
  SQLITE_CORRUPT:
    'Its file is damaged. Stop all processes that use it, keep a copy, and restore a backup, or what `sqlite3 FILE .recover` finds.',
  SQLITE_NOTADB: 'It is no SQLite database: give the store a file of its own.',
  SQLITE_CANTOPEN: 'Look whether its folder is there, and may be written.',
}

/** `SQLITE_BUSY` and so on, as far as the driver tells: by name (better-sqlite3, libsql) or number (node:sqlite). */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return CODES[errcode & 0xff]
  if (typeof code !== 'string') return undefined
  return Object.values(CODES).find((name) => code === name || code.startsWith(`${name}_`))
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
