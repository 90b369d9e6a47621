import { statSync } from 'node:fs'
import { StoreError } from '@mcp-durable/core/store'

/**
 * Whether the path of a database still leads to the file that is open. SQLite does not look: it would go on writing to a file that
 * has no name any more, acknowledge that, and all of it would be gone with the process.
 */
export class OpenedFile {
  readonly #path: string
  /** By their paths. The log beside a file is there from the first write on, for as long as somebody has the file open. */
  readonly #known = new Map<string, bigint>()

  constructor(path: string) {
    this.#path = path
    this.requireThere()
  }

  /** Throws a `StoreError`. */
  requireThere() {
    for (const path of [this.#path, `${this.#path}-wal`]) {
      const found = statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
      const known = this.#known.get(path)
      if (known === undefined && found !== undefined) this.#known.set(path, found)
      if (known !== undefined && found !== known) throw gone(path)
    }
  }
}

const gone = (path: string) =>
  new StoreError(
    'store-failed',
    `The SQLite file ${path} was removed, moved or replaced while this process has it open, so nothing is written to it. ` +
      'Put back the file that was there, and it goes on; or stop all processes that use it, and start them again with the one that is there now.',
  )
