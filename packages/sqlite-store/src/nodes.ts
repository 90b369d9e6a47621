import type { MembershipStore } from '@mcp-durable/core/store'
import type { Space } from './space.js'

const BEAT = `INSERT INTO nodes (name, node, beat_at, about) VALUES (?, ?, ?, ?) ON CONFLICT (name, node)
  DO UPDATE SET beat_at = excluded.beat_at, about = CASE excluded.about WHEN '' THEN about ELSE excluded.about END`
/** The clock was set back since a beat: who has died before would seem to live until it is there again. */
const SET_BACK = 'UPDATE nodes SET beat_at = ? WHERE name = ? AND beat_at > ?'
const LEFT = 'UPDATE nodes SET beat_at = NULL WHERE name = ? AND node = ?'
const RELEASE = 'DELETE FROM held WHERE name = ? AND node = ? AND scope = ?'

/** Nodes, and the scopes that they hold. `beat_at` is NULL for one that has left, or was declared dead. */
export class Nodes implements Omit<MembershipStore, 'isWatched'> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  beat: MembershipStore['beat'] = (node, about = '') =>
    this.#space.write((now) => {
      const isKnown = this.#beatOf(node) !== undefined
      this.#space.sql.run(SET_BACK, now, this.#space.name, now)
      this.#space.sql.run(BEAT, this.#space.name, node, now, about)
      return isKnown
    })

  /** `undefined`: unknown, or gone. */
  #beatOf(node: string): number | undefined {
    const find = 'SELECT beat_at FROM nodes WHERE name = ? AND node = ?'
    return this.#space.sql.get<{ beat_at: number | null }>(find, this.#space.name, node)?.beat_at ?? undefined
  }

  listNodes: MembershipStore['listNodes'] = () =>
    this.#space.read((now) => {
      const list = 'SELECT node, beat_at, about FROM nodes WHERE name = ? ORDER BY node'
      const nodes = this.#space.sql.all<{ node: string; beat_at: number | null; about: string }>(
        list,
        this.#space.name,
      )
      return nodes.map(({ node, beat_at, about }) => ({
        node,
        lateMs: beat_at === null ? Number.POSITIVE_INFINITY : now - beat_at,
        about,
      }))
    })

  leave: MembershipStore['leave'] = (node) =>
    this.#space.write(() => void this.#space.sql.run(LEFT, this.#space.name, node))

  removeNode: MembershipStore['removeNode'] = (node, lateMs) =>
    this.#space.write((now) => {
      const { sql, name } = this.#space
      if (sql.get('SELECT 1 FROM held WHERE name = ? AND node = ? LIMIT 1', name, node)) return false
      const remove = 'DELETE FROM nodes WHERE name = ? AND node = ? AND (beat_at IS NULL OR ? - beat_at >= ?)'
      return sql.run(remove, name, node, now, lateMs) > 0
    })

  hold: MembershipStore['hold'] = (node, scopes) =>
    this.#space.write(() => {
      const { sql, name } = this.#space
      for (const scope of scopes) sql.run('INSERT OR IGNORE INTO held VALUES (?, ?, ?)', name, node, scope)
    })

  release: MembershipStore['release'] = (node, scopes) =>
    this.#space.write(() => {
      for (const scope of scopes) this.#space.sql.run(RELEASE, this.#space.name, node, scope)
    })

  declareDead: MembershipStore['declareDead'] = (node, scopes, lateMs) =>
    this.#space.write((now) => {
      const { sql, name } = this.#space
      const beatAt = this.#beatOf(node)
      if (beatAt !== undefined && now - beatAt < lateMs) return false
      sql.run(LEFT, name, node)
      for (const scope of scopes) sql.run(RELEASE, name, node, scope)
      return true
    })

  heldScopes: MembershipStore['heldScopes'] = (node, limit) =>
    this.#space.read(() => {
      const list = 'SELECT scope FROM held WHERE name = ? AND node = ? LIMIT ?'
      return this.#space.sql
        .all<{ scope: string }>(list, this.#space.name, node, limit)
        .map(({ scope }) => scope)
    })
}
