import type { MapPage, MapsInspection } from '@mcp-durable/core/inspect'
import type { Reading } from './reading.js'

const MAP = 'map = (SELECT id FROM maps WHERE name = ? AND map = ?)'

export class SqliteMaps implements MapsInspection {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  async names(): Promise<string[]> {
    const rows = await this.#reading.all<{ map: string }>(
      'SELECT map FROM maps m WHERE name = ? AND EXISTS (SELECT 1 FROM map_entries e WHERE e.map = m.id)',
      this.#reading.name,
    )
    return rows.map(({ map }) => map).toSorted((a, b) => (a < b ? -1 : 1))
  }

  size(name: string): Promise<number> {
    return this.#reading.number(
      `SELECT count(*) AS n FROM map_entries WHERE ${MAP}`,
      this.#reading.name,
      name,
    )
  }

  async read(name: string, { after, reverse = false, limit }: MapPage): Promise<Array<[string, string]>> {
    const [above, order] = reverse ? ['<', 'DESC'] : ['>', 'ASC']
    const from = after === undefined ? [] : [Buffer.from(after)]
    const bound = after === undefined ? '' : `AND key ${above} ?`
    const rows = await this.#reading.all<{ key: string; value: string }>(
      `SELECT key, value FROM map_entries WHERE ${MAP} ${bound} ORDER BY key ${order} LIMIT ?`,
      this.#reading.name,
      name,
      ...from,
      limit,
    )
    return rows.map(({ key, value }) => [key, value])
  }
}
