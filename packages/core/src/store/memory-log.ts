import { BEGINNING, bytesOf, compareIds, OLDEST } from './entries.js'
import type { Entry, EntryId } from './entries.js'

/** As Redis writes them: no leading zeros. */
const ENTRY_ID = /^(0|[1-9]\d*)-(0|[1-9]\d*)$/

/** One log of the in-memory store: entries in the order of their ids, trimmed at the front only. */
export class MemoryLog {
  #entries: Entry[] = []
  #lastId: EntryId = BEGINNING
  #trimmed = false
  /** Of the data of all entries, in UTF-8. */
  bytes = 0
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

  get length() {
    return this.#entries.length
  }

  append(data: string): EntryId {
    const now = `${Date.now()}-0`
    const id = compareIds(now, this.#lastId) > 0 ? now : next(this.#lastId)
    this.insert([{ id, data }])
    return id
  }

  insert(entries: readonly Entry[]) {
    for (const entry of entries) {
      this.#entries.push(entry)
      this.bytes += Buffer.byteLength(entry.data)
    }
    this.#lastId = entries.at(-1)?.id ?? this.#lastId
  }

  trim(maxLength: number, maxBytes = Number.POSITIVE_INFINITY) {
    let excess = Math.max(0, this.#entries.length - maxLength)
    let bytes = this.bytes - bytesOf(this.#entries.slice(0, excess))
    for (; bytes > maxBytes && excess < this.#entries.length - 1; excess++)
      bytes -= bytesOf(this.#entries.slice(excess, excess + 1))
    if (excess === 0) return
    this.#entries.splice(0, excess)
    this.bytes = bytes
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

  read(after: EntryId, limit: number, maxBytes = Number.POSITIVE_INFINITY): Entry[] | undefined {
    if (after === OLDEST) return this.#page(0, limit, maxBytes)
    if (after === BEGINNING) return this.#trimmed ? undefined : this.#page(0, limit, maxBytes)
    const index = this.#indexOf(after)
    return index < 0 ? undefined : this.#page(index + 1, limit, maxBytes)
  }

  #page(from: number, limit: number, maxBytes: number): Entry[] {
    if (maxBytes === Number.POSITIVE_INFINITY) return this.#entries.slice(from, from + limit)
    const page: Entry[] = []
    let bytes = 0
    for (let place = from; page.length < limit && bytes < maxBytes; place++) {
      const entry = this.#entries[place]
      if (!entry) break
      page.push(entry)
      bytes += Buffer.byteLength(entry.data)
    }
    return page
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
