import type { ContextStore } from '@mcp-durable/core/store'
import type { Space } from './space.js'

/** A call that has ended for so long is not run again. */
const MARK_MS = 7 * 24 * 60 * 60_000

type Row = { key: string; value: string }

const SET = `INSERT INTO map_entries VALUES (?, ?, ?) ON CONFLICT (map, key) DO UPDATE SET value = excluded.value`

/** Sorted maps. Keys are bytes: they are sorted by those of their UTF-8. */
export class Maps implements Pick<ContextStore, 'changeMap' | 'replaceInMap' | 'readMap' | 'rangeMap'> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  #find(map: string): number | undefined {
    const find = 'SELECT id FROM maps WHERE name = ? AND map = ?'
    return this.#space.sql.get<{ id: number }>(find, this.#space.name, map)?.id
  }

  #begin(map: string): number {
    const begin = 'INSERT INTO maps (name, map) VALUES (?, ?) RETURNING id'
    return this.#space.sql.get<{ id: number }>(begin, this.#space.name, map)!.id
  }

  changeMap: ContextStore['changeMap'] = (map, { set, remove }, mark, formerMark = mark) =>
    this.#space.write((now) => {
      const { sql, engine } = this.#space
      const id = this.#find(map) ?? this.#begin(map)
      if (mark !== undefined) {
        const seen = 'SELECT 1 FROM map_marks WHERE map = ? AND mark IN (?, ?)'
        if (sql.get(seen, id, mark, formerMark)) return 'repeated'
        sql.run('INSERT INTO map_marks VALUES (?, ?, ?)', id, mark, now + MARK_MS)
        engine.expires(now + MARK_MS)
      }
      for (const [key, value] of set) sql.run(SET, id, Buffer.from(key), value)
      for (const key of remove)
        sql.run('DELETE FROM map_entries WHERE map = ? AND key = ?', id, Buffer.from(key))
      return 'applied'
    })

  replaceInMap: ContextStore['replaceInMap'] = (map, key, from, to) =>
    this.#space.write(() => {
      const replace = 'UPDATE map_entries SET value = ? WHERE map = ? AND key = ? AND value = ?'
      return this.#space.sql.run(replace, to, this.#find(map) ?? -1, Buffer.from(key), from) === 1
    })

  readMap: ContextStore['readMap'] = (map, keys) =>
    this.#space.read(() => {
      const { sql } = this.#space
      const id = this.#find(map)
      const read = 'SELECT value FROM map_entries WHERE map = ? AND key = ?'
      return keys.map((key) =>
        id === undefined ? undefined : sql.get<{ value: string }>(read, id, Buffer.from(key))?.value,
      )
    })

  rangeMap: ContextStore['rangeMap'] = (
    map,
    { from, to, after, reverse, limit, maxBytes = Number.POSITIVE_INFINITY },
  ) =>
    this.#space.read(() => {
      const id = this.#find(map)
      if (id === undefined) return []
      const bounds: [where: string, key: string][] = []
      if (from !== undefined) bounds.push(['key >= ?', from])
      if (to !== undefined) bounds.push(['key < ?', to])
      if (after !== undefined) bounds.push([reverse ? 'key < ?' : 'key > ?', after])
      const where = ['map = ?', ...bounds.map(([each]) => each)].join(' AND ')
      const range = `SELECT key, value FROM map_entries WHERE ${where} ORDER BY key ${reverse ? 'DESC' : 'ASC'} LIMIT ?`
      const rows = this.#space.sql.all<Row>(range, id, ...bounds.map(([, key]) => Buffer.from(key)), limit)
      const page: [string, string][] = []
      for (let bytes = 0; page.length < rows.length && bytes < maxBytes;) {
        const { key, value } = rows[page.length]!
        page.push([key, value])
        bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
      }
      return page
    })
}
