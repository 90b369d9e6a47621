import type { MapPage, MapsInspection } from '@mcp-durable/core/inspect'
import type { Keys } from '../keys.js'
import { literally } from './reading.js'
import type { Reading } from './reading.js'

export class RedisMaps implements MapsInspection {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  async names(): Promise<string[]> {
    const names = new Set<string>()
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:map:{*}`)) {
      for (const key of page) {
        const place = this.#keys.describe(key)
        if (place.kind === 'map') names.add(place.map)
      }
    }
    return [...names].toSorted((a, b) => (a < b ? -1 : 1))
  }

  size(name: string): Promise<number> {
    return this.#reading.number('ZCARD', this.#keys.map(name)[0] ?? '')
  }

  async read(name: string, { after, reverse = false, limit }: MapPage): Promise<Array<[string, string]>> {
    const [keys = '', values = ''] = this.#keys.map(name)
    const from = after === undefined ? (reverse ? '+' : '-') : `(${after}`
    const page = await (reverse
      ? this.#reading.texts('ZREVRANGEBYLEX', keys, from, '-', 'LIMIT', 0, limit)
      : this.#reading.texts('ZRANGEBYLEX', keys, from, '+', 'LIMIT', 0, limit))
    if (page.length === 0) return []
    const found = (await this.#reading.ask('HMGET', [values, ...page])) as Array<string | null>
    return page.flatMap((key, i) => (found[i] == null ? [] : [[key, found[i]] as [string, string]]))
  }
}
