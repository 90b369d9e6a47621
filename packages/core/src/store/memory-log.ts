import { BEGINNING, compareIds, OLDEST } from './store.js'
import type { Entry, EntryId } from './store.js'

/** As Redis writes them: no leading zeros. */
const ENTRY_ID = /^(0|[1-9]\d*)-(0|[1-9]\d*)$/

/** One log of the in-memory store: entries in the order of their ids, trimmed at the front only. */
export class MemoryLog {
  #entries: Entry[] = []
  #lastId: EntryId = BEGINNING
  #trimmed = false
  expiresAt = Number.POSITIVE_INFINITY

  get expired() {
    return this.expiresAt <= Date.now()
  }

  get lastId() {
    return this.#lastId
  }

  get last(): Entry | undefined {
    return this.#entries.at(-1)
  }

  get firstId() {
    return this.#entries[0]?.id ?? BEGINNING
  }

  has(id: EntryId) {
    return this.#indexOf(id) >= 0
  }

  append(data: string): EntryId {
    const now = `${Date.now()}-0`
    const id = compareIds(now, this.#lastId) > 0 ? now : next(this.#lastId)
    this.insert([{ id, data }])
    return id
  }

  insert(entries: readonly Entry[]) {
    this.#entries.push(...entries)
    this.#lastId = entries.at(-1)?.id ?? this.#lastId
  }

  trim(maxLength: number) {
    const excess = this.#entries.length - maxLength
    if (excess <= 0) return
    this.#entries.splice(0, excess)
    this.#trimmed = true
  }

  trimBefore(id: EntryId) {
    const first = this.#entries.findIndex((entry) => compareIds(entry.id, id) >= 0)
    this.trim(first < 0 ? 0 : this.#entries.length - first)
  }

  /** What is held behind an id, be that held or not. */
  behind(id: EntryId): Entry[] {
    return this.#entries.filter((entry) => compareIds(entry.id, id) > 0)
  }

  read(after: EntryId, limit: number): Entry[] | undefined {
    if (after === OLDEST) return this.#entries.slice(0, limit)
    if (after === BEGINNING) return this.#trimmed ? undefined : this.#entries.slice(0, limit)
    const index = this.#indexOf(after)
    return index < 0 ? undefined : this.#entries.slice(index + 1, index + 1 + limit)
  }

  /** The index of exactly this id. Binary search: logs are sorted, and a resumed reader may stand anywhere in a long one. */
  #indexOf(id: EntryId) {
    if (!ENTRY_ID.test(id)) return -1
    let low = 0
    let high = this.#entries.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = compareIds(this.#entries[middle]?.id ?? BEGINNING, id)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}

function next(id: EntryId): EntryId {
  const dash = id.indexOf('-')
  return `${id.slice(0, dash)}-${Number(id.slice(dash + 1)) + 1}`
}
