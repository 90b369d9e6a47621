import type { End } from '../migrate/end.js'
import { redisEnd } from './redis.js'
import { sqliteEnd } from './sqlite.js'

const FILE = /^sqlite:(?:\/\/)?(.+)$/s

/** What `--from` or `--to` names: `sqlite:FILE`, or an address of Redis. */
export async function connectEnd(text: string, role: 'from' | 'to', prefix: string): Promise<End> {
  const path = FILE.exec(text)?.[1]
  return path === undefined ? redisEnd(text, prefix) : sqliteEnd(path, role)
}
