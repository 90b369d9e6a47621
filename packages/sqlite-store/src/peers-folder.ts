import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** The longest address of a Unix socket: 104 bytes on macOS, 108 on Linux, with a zero at the end. */
const LONGEST = 103
const LONGEST_NAME = '/0123456789ab.sock'

/**
 * Where the sockets of the processes are that have the file open: beside it, or if that would be too long an address, in the system's
 * folder for temporary files. Whichever way the file is named, it is the same.
 */
export function peersFolder(file: string): string {
  const path = existsSync(file) ? realpathSync(file) : join(realpathSync(dirname(file)), basename(file))
  const beside = `${path}-peers`
  if (Buffer.byteLength(beside + LONGEST_NAME) <= LONGEST) return beside
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 16)
  return join(tmpdir(), `mcp-durable-${digest}`)
}

/** Nobody else may have made it: in a folder for temporary files anybody could. */
export function makeFolder(folder: string) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  const isOurs = process.getuid === undefined || found.uid === process.getuid()
  if (!found.isDirectory() || !isOurs) throw new Error(`${folder} is another user's`)
}

export function remove(how: () => void) {
  try {
    how()
  } catch {
    // It was never there, is gone, or others are in it.
  }
}
