import { recognising } from '../seal/sealed-store.js'
import { checkGiven, checkNames, isList } from '../known-options.js'
import { MAX_RECORD_BYTES, RecordTooLargeError } from '../errors.js'
import type { ContextStore, MapChange, MapRange } from '../store/context-store.js'
import { checkText, prefixEnd } from './map-keys.js'

export type MapEntry = [key: string, value: Uint8Array]
export type MapEntries = Readonly<Record<string, Uint8Array>> | Iterable<readonly [string, Uint8Array]>
/**
 * From `from` up to but without `to`, whichever way it is read. A page that is shorter than `limit` is the last. One of more
 * than 1 MiB is read in parts.
 */
export type RangeOptions = {
  from?: string
  to?: string
  /** The last key of the page before. */
  after?: string
  /** Entries in a page, 1 to 10,000. Default: 100. */
  limit?: number
}

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000
/** One operation of the store holds up all others for as long as it takes. */
const PAGE_BYTES = 1 << 20

/** Who uses a map: a call, or nobody in particular. */
export interface MapUse {
  /** Bytes of one change, as it is stored. */
  readonly maxBytes: number
  /** Makes a change, with a mark for the store to apply it once, if any; throws if it cannot be told apart from an earlier one. */
  change(map: string, alias: string, apply: (mark?: string) => Promise<unknown>): Promise<unknown>
  run<T>(work: () => Promise<T>): Promise<T>
}

/**
 * A map of any size from text to bytes, ordered by the bytes of its keys in UTF-8. Maps belong to the store, not to a
 * session: every call sees them.
 *
 * In a call (`ctx.map(name)`) each change applies once, however often the call is run. The same map can be changed
 * again in the same call under another alias: `map.idempotently('second').insert(…)`. Reads are not memoized: a
 * handler that branches on what it reads wraps the read in a step. Each change applies as a whole; changes of
 * different maps are not atomic together. One of more than `maxRecordBytes`, in which values count a third more, is
 * refused with a `RecordTooLargeError`.
 */
export class SortedMap {
  readonly name: string
  readonly #store: ContextStore
  readonly #use: MapUse
  readonly #alias: string

  constructor(store: ContextStore, name: string, use: MapUse, alias = '') {
    if (name === '') throw new TypeError('A map has a name.')
    this.name = checkText('The name of a map', name)
    this.#store = store
    this.#use = use
    this.#alias = alias
  }

  /** The same map; its next change is known by `alias` among those that the call makes to the map. */
  idempotently(alias: string): SortedMap {
    if (alias === '') throw new TypeError('An alias is not empty.')
    return new SortedMap(this.#store, this.name, this.#use, checkText('An alias', alias))
  }

  /** Sets entries, replacing those that exist. */
  insert(entries: MapEntries): Promise<void> {
    return this.#use.run(() => this.#insert(entries))
  }

  /** Removes keys; those that do not exist are no error. */
  remove(keys: string | Iterable<string>): Promise<void> {
    return this.#use.run(() => this.#remove(keys))
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#use.run(async () => (await this.#getMany([key]))[0])
  }

  /** The values of these keys, in their order. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#use.run(() => this.#getMany(keys))
  }

  /** Entries from the lowest key up. */
  range(options: RangeOptions = {}): Promise<MapEntry[]> {
    return this.#use.run(() => this.#range(options, false))
  }

  /** Entries from the highest key down: with UUIDv7 keys, the most recent first. */
  reverseRange(options: RangeOptions = {}): Promise<MapEntry[]> {
    return this.#use.run(() => this.#range(options, true))
  }

  /** Entries whose keys begin with `prefix`. */
  prefixRange(
    prefix: string,
    options: Pick<RangeOptions, 'after' | 'limit'> & { reverse?: boolean } = {},
  ): Promise<MapEntry[]> {
    const to = prefixEnd(checkText('A prefix', prefix))
    return this.#use.run(async () => {
      checkNames('prefixRange()', options, ['after', 'limit', 'reverse'])
      const { reverse = false, after, limit } = options
      return this.#range({ from: prefix, ...defined({ to, after, limit }) }, reverse)
    })
  }

  async #insert(entries: MapEntries) {
    const areEntries = typeof entries === 'object' && entries !== null
    checkGiven(areEntries, 'insert() takes entries: insert({ key: bytes })', entries)
    const pairs = Symbol.iterator in entries ? [...entries] : Object.entries(entries)
    // Of two with the same key the later one counts, as in a `Map`.
    const set = new Map(pairs.map(([key, value]) => [checkText('A key', key), encodeBytes(value)]))
    await this.#change({ set: [...set], remove: [] })
  }

  async #remove(keys: string | Iterable<string>) {
    const areKeys = typeof keys === 'string' || Symbol.iterator in Object(keys)
    checkGiven(areKeys, 'remove() takes a key, or a list of keys', keys)
    const remove = typeof keys === 'string' ? [keys] : [...new Set(keys)]
    await this.#change({ set: [], remove: remove.map((key) => checkText('A key', key)) })
  }

  async #getMany(keys: readonly string[]) {
    checkGiven(isList(keys), 'getMany() takes a list of keys', keys)
    const checked = keys.map((key) => checkText('A key', key))
    const values = await this.#store.readMap(this.name, checked)
    return values.map((value) => (value === undefined ? undefined : decodeBytes(value)))
  }

  async #range(options: RangeOptions, reverse: boolean): Promise<MapEntry[]> {
    checkNames('range()', options, ['from', 'to', 'after', 'limit'])
    const { limit = DEFAULT_LIMIT, ...bounds } = options
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
      throw new RangeError(`The limit of a page is 1 to ${MAX_LIMIT}.`)
    }
    for (const bound of Object.values(bounds)) if (bound !== undefined) checkText('A bound', bound)
    const entries: MapEntry[] = []
    for (let { after } = bounds; ;) {
      const left = limit - entries.length
      const range: MapRange = { ...defined({ ...bounds, after }), reverse, limit: left, maxBytes: PAGE_BYTES }
      const page = await this.#store.rangeMap(this.name, range)
      for (const [key, value] of page) entries.push([key, decodeBytes(value)])
      const isLast = page.length < left && bytesOf({ set: page, remove: [] }) < PAGE_BYTES
      if (isLast || page.length === 0 || page.length >= left) return entries
      after = page.at(-1)?.[0]
    }
  }

  async #change(change: MapChange) {
    const { maxBytes } = this.#use
    const bytes = bytesOf(change)
    if (bytes > maxBytes) throw new RecordTooLargeError(bytes, maxBytes, `the change of the map ${this.name}`)
    await this.#use.change(this.name, this.#alias, (mark) => this.#store.changeMap(this.name, change, mark))
  }
}

/** A map outside of a call. In a call use `ctx.map(name)`, whose changes are not repeated when the call is run again. */
export function sortedMap(store: ContextStore, name: string, options: RecordLimit = {}): SortedMap {
  checkNames('sortedMap()', options, ['maxRecordBytes'])
  const { maxRecordBytes = MAX_RECORD_BYTES } = options
  return new SortedMap(recognising(store), name, { ...unmarked, maxBytes: maxRecordBytes })
}

/** As the setting of `durable()`, which is not known outside of its calls. Default: 16 MiB. */
export type RecordLimit = { maxRecordBytes?: number }

const unmarked: Omit<MapUse, 'maxBytes'> = {
  change(_map, alias, apply) {
    if (alias === '') return apply()
    throw new TypeError('idempotently() tells the changes of one call apart; there is no call here.')
  },
  run: (work) => work(),
}

const bytesOf = ({ set, remove }: MapChange) =>
  [...set.flat(), ...remove].reduce((bytes, text) => bytes + Buffer.byteLength(text), 0)

function encodeBytes(value: Uint8Array): string {
  if (!(value instanceof Uint8Array)) throw new TypeError('The values of a map are bytes (Uint8Array).')
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
}

/** Bytes of their own, not a window onto Node's shared pool. */
const decodeBytes = (value: string) => new Uint8Array(Buffer.from(value, 'base64'))

/** Without members that are `undefined`: a store need not know the difference. */
function defined<T extends object>(options: T) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}
