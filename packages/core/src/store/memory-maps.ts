import type { ContextStore, MapRange } from './context-store.js'
import type { MemoryData } from './memory-data.js'

/** Sorted maps in memory. They belong to no session and stay until the process ends. */
export class MemoryMaps implements Pick<ContextStore, 'changeMap' | 'readMap' | 'rangeMap'> {
  readonly #data: MemoryData

  constructor({ data }: { data: MemoryData }) {
    this.#data = data
  }

  changeMap: ContextStore['changeMap'] = async (name, { set, remove }, mark, formerMark) => {
    const map = this.#data.maps.get(name) ?? { keys: [], values: new Map(), marks: new Set() }
    this.#data.maps.set(name, map)
    if ([mark, formerMark].some((seen) => seen !== undefined && map.marks.has(seen))) return 'repeated'
    if (mark !== undefined) map.marks.add(mark)
    for (const [key, value] of set) {
      if (!map.values.has(key)) map.keys.splice(placeOf(map.keys, Buffer.from(key)), 0, Buffer.from(key))
      map.values.set(key, value)
    }
    for (const key of remove) {
      if (map.values.delete(key)) map.keys.splice(placeOf(map.keys, Buffer.from(key)), 1)
    }
    return 'applied'
  }

  replaceInMap = async (name: string, key: string, from: string, to: string) => {
    const values = this.#data.maps.get(name)?.values
    if (values?.get(key) !== from) return false
    values.set(key, to)
    return true
  }

  readMap: ContextStore['readMap'] = async (name, keys) => {
    const values = this.#data.maps.get(name)?.values
    return keys.map((key) => values?.get(key))
  }

  rangeMap: ContextStore['rangeMap'] = async (name, range) => {
    const map = this.#data.maps.get(name)
    if (!map) return []
    const [low, high] = boundsOf(map.keys, range)
    const { reverse, limit, maxBytes = Number.POSITIVE_INFINITY } = range
    const keys = reverse
      ? map.keys.slice(Math.max(low, high - limit), high).toReversed()
      : map.keys.slice(low, Math.min(high, low + limit))
    const page: [string, string][] = []
    let bytes = 0
    for (const key of keys) {
      if (bytes >= maxBytes) break
      const value = map.values.get(key.toString()) ?? ''
      page.push([key.toString(), value])
      bytes += key.length + Buffer.byteLength(value)
    }
    return page
  }
}

/** The part of the sorted keys that a range covers: from the first index up to, without, the second. */
function boundsOf(keys: readonly Buffer[], { from, to, after, reverse }: MapRange): [number, number] {
  let low = from === undefined ? 0 : placeOf(keys, Buffer.from(from))
  let high = to === undefined ? keys.length : placeOf(keys, Buffer.from(to))
  if (after !== undefined) {
    const place = placeOf(keys, Buffer.from(after))
    if (reverse) high = Math.min(high, place)
    else low = Math.max(low, keys[place]?.equals(Buffer.from(after)) ? place + 1 : place)
  }
  return [low, Math.max(low, high)]
}

/** Where a key is, or would be put. */
function placeOf(keys: readonly Buffer[], key: Buffer): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(keys[middle] ?? key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
