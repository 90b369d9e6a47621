import type { InspectedNode, NodesInspection } from '@mcp-durable/core/inspect'
import type { Reading } from './reading.js'

const PAGE = 1000

type NodeRow = { node: string; beat_at: number | null; about: string; scopes: number }

export class SqliteNodes implements NodesInspection {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  async list(): Promise<InspectedNode[]> {
    const rows = await this.#reading.all<NodeRow>(
      `SELECT node, beat_at, about, (SELECT count(*) FROM held h WHERE h.name = n.name AND h.node = n.node) AS scopes
       FROM nodes n WHERE name = ?`,
      this.#reading.name,
    )
    const now = Date.now()
    return rows.map(({ node, beat_at: beatAt, about, scopes }) => ({
      node,
      lateMs: now - (beatAt ?? 0),
      left: beatAt === null,
      scopes,
      about: about === '' ? undefined : about,
      beatAt: beatAt ?? 0,
    }))
  }

  /** That of this machine, as of all that have the file open. */
  async clock(): Promise<number> {
    return Date.now()
  }

  async *held(node: string): AsyncGenerator<string[]> {
    for (let after = ''; ;) {
      const rows = await this.#reading.all<{ scope: string }>(
        'SELECT scope FROM held WHERE name = ? AND node = ? AND scope > ? ORDER BY scope LIMIT ?',
        this.#reading.name,
        node,
        after,
        PAGE,
      )
      const page = rows.map(({ scope }) => scope)
      if (page.length > 0) yield page
      if (page.length < PAGE) return
      after = page.at(-1) ?? ''
    }
  }
}
