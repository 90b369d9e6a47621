import type { Effect } from '../../src/context/call-log.js'
import type { ContextStore, StoredValue } from '../../src/store/context-store.js'
import { compareKeys } from '../../src/context/map-keys.js'

/** What the real stores do, in the plainest way. */
export class MemoryContextStore implements ContextStore {
  readonly #values = new Map<string, StoredValue>()
  readonly #scopes = new Map<string, string | undefined>()
  readonly #marks = new Set<string>()
  readonly #maps = new Map<string, { entries: Map<string, string>; marks: Set<string> }>()
  #version = 0
  /** Called before every operation; what it throws is what the operation throws. */
  before: (operation: keyof ContextStore) => void = () => undefined
  /** Called when one has taken effect; what it throws is the answer. */
  after: (operation: keyof ContextStore) => void = () => undefined

  readValue: ContextStore['readValue'] = async (scope, key) => {
    this.before('readValue')
    return this.#values.get(`${scope}/${key}`)
  }

  writeValue: ContextStore['writeValue'] = async (scope, key, expected, data, options = {}) => {
    this.before('writeValue')
    const { mark, begins, maxBytes } = options
    if (begins && !this.#scopes.has(scope)) this.#scopes.set(scope, begins.principal)
    if (scope === 'unknown' || (mark !== undefined && !this.#scopes.has(scope))) return 'unknown'
    const marked = `${scope}/${mark}`
    if (mark !== undefined && this.#marks.has(marked)) return 'repeated'
    if (data !== undefined && data.length > (maxBytes ?? data.length)) return 'full'
    if (!this.apply(scope, { key, expected, data })) return 'conflict'
    if (mark !== undefined) this.#marks.add(marked)
    this.after('writeValue')
    return this.#values.get(`${scope}/${key}`)?.version ?? 0
  }

  beginScope: ContextStore['beginScope'] = async (scope, { principal }, { maxPerPrincipal }) => {
    this.before('beginScope')
    const own = [...this.#scopes].filter(([id, whose]) => whose === principal && id !== scope)
    if (own.length >= maxPerPrincipal) return 'limit'
    this.#scopes.set(scope, principal)
    this.after('beginScope')
    return 'begun'
  }

  useScope: ContextStore['useScope'] = async (scope, principal) => {
    this.before('useScope')
    return this.#scopes.has(scope) && this.#scopes.get(scope) === principal
  }

  /** Its time is over. */
  expire(scope: string) {
    this.#scopes.delete(scope)
  }

  get scopes() {
    return [...this.#scopes.keys()]
  }

  changeMap: ContextStore['changeMap'] = async (name, { set, remove }, mark) => {
    this.before('changeMap')
    const map = this.#map(name)
    if (mark !== undefined && map.marks.has(mark)) return 'repeated'
    for (const key of remove) map.entries.delete(key)
    for (const [key, value] of set) map.entries.set(key, value)
    if (mark !== undefined) map.marks.add(mark)
    return 'applied'
  }

  readMap: ContextStore['readMap'] = async (name, keys) => {
    this.before('readMap')
    return keys.map((key) => this.#map(name).entries.get(key))
  }

  rangeMap: ContextStore['rangeMap'] = async (name, { from, to, after, reverse, limit }) => {
    this.before('rangeMap')
    const sorted = [...this.#map(name).entries].toSorted(([a], [b]) => compareKeys(a, b))
    const inside = sorted.filter(([key]) => {
      if (from !== undefined && compareKeys(key, from) < 0) return false
      if (to !== undefined && compareKeys(key, to) >= 0) return false
      return after === undefined || (reverse ? compareKeys(key, after) < 0 : compareKeys(key, after) > 0)
    })
    return (reverse ? inside.toReversed() : inside).slice(0, limit)
  }

  /** What the record of a step does together with itself. */
  apply(scope: string, { key, expected, data }: Effect): boolean {
    const place = `${scope}/${key}`
    if ((this.#values.get(place)?.version ?? 0) !== expected) return false
    if (data === undefined) this.#values.delete(place)
    else this.#values.set(place, { version: ++this.#version, data })
    return true
  }

  #map(name: string) {
    const map = this.#maps.get(name) ?? { entries: new Map<string, string>(), marks: new Set<string>() }
    this.#maps.set(name, map)
    return map
  }
}
