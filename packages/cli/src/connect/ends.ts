import { usageError } from '../errors.js'
import type { End } from '../migrate/end.js'
import { redisEnd } from './redis.js'
import { sqliteEnd } from './sqlite.js'

const FILE = /^sqlite:(?:\/\/)?(.+)$/s

/** What `--from` or `--to` names: `sqlite:FILE`, or an address of Redis. */
export async function connectEnd(text: string, role: 'from' | 'to', prefix: string): Promise<End> {
  const path = FILE.exec(text)?.[1]
  // It is not repeated: it may hold a password.
  if (path === undefined && !text.includes('://'))
    throw usageError('a store is named as sqlite:FILE, or as an address like redis://HOST:PORT.')
  return path === undefined ? redisEnd(text, prefix) : sqliteEnd(path, role)
}
