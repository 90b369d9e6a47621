import type { MemoryData, Waiting } from './memory-data.js'
import type { PlaceOwner, Quota, QuotaStore, Turn } from './quotas.js'

/** Places in quotas, in the in-memory store. */
export class MemoryQuotas implements QuotaStore {
  readonly #data: MemoryData

  constructor({ data }: { data: MemoryData }) {
    this.#data = data
  }

  takePlaces: QuotaStore['takePlaces'] = async (call, quotas, queued = []) => {
    const owner = encode(call)
    const isFull = (quota: Quota) => this.#isFull(quota, owner) || this.#isWaitedFor(quota, owner)
    const [full, mayWait] = [quotas.filter(isFull), queued.filter(isFull)]
    const all = [...full, ...mayWait]
    const [first] = mayWait
    if (!first || full.length > 0) {
      if (all.length === 0) this.#take(owner, [...quotas, ...queued])
    } else {
      this.#take(owner, quotas)
      const earlier = this.#data.waiting.get(owner)
      if (!earlier) this.#data.waiting.set(owner, { since: Date.now(), quotas: queued, forName: first.name })
      // Its turn had come, and its places were given back since.
      else if (earlier.givenAt !== undefined)
        Object.assign(earlier, { givenAt: undefined, quotas: queued, forName: first.name })
    }
    if (all.length === 0) return undefined
    const freeInMs = Math.max(...all.map((quota) => this.#freeInMs(quota) ?? Number.POSITIVE_INFINITY))
    return {
      names: all.map(({ name }) => name),
      freeInMs: Number.isFinite(freeInMs) ? freeInMs : undefined,
      isQueued: full.length === 0,
    }
  }

  releasePlaces: QuotaStore['releasePlaces'] = async (call, names, takenAt = Number.POSITIVE_INFINITY) => {
    if (takenAt === Number.POSITIVE_INFINITY) this.#data.waiting.delete(encode(call))
    for (const name of names) {
      const places = this.#data.quotas.get(name)?.places
      if ((places?.get(encode(call)) ?? Number.POSITIVE_INFINITY) <= takenAt) places?.delete(encode(call))
    }
    return this.#data.waiting.size > 0
  }

  touchPlaces: QuotaStore['touchPlaces'] = async (call, names) => {
    const takenAt = Date.now() - 1
    const owner = encode(call)
    for (const name of names) {
      const places = this.#data.quotas.get(name)?.places
      if (places?.has(owner)) places.set(owner, takenAt)
    }
    return takenAt
  }

  oldPlaces: QuotaStore['oldPlaces'] = async (name, olderThanMs, limit) => {
    const now = Date.now()
    const places = this.#data.quotas.get(name)?.places ?? new Map<string, number>()
    const old = [...places].filter(([, at]) => at <= now - olderThanMs).toSorted(([, a], [, b]) => a - b)
    return old.slice(0, limit).map(([owner]) => {
      places.delete(owner)
      places.set(owner, now)
      return { ...decode(owner), takenAt: now }
    })
  }

  nextTurns: QuotaStore['nextTurns'] = async (againMs, limit) => {
    const now = Date.now()
    const turns: Turn[] = []
    // In the order in which they came; nobody passes another who waits for the same quota.
    const blocked = new Set<string>()
    for (const [owner, waiting] of this.#data.waiting) {
      if (turns.length >= limit) break
      const { quotas, forName, givenAt } = waiting
      if (givenAt !== undefined && givenAt > now - againMs) continue
      if (givenAt === undefined) {
        if (blocked.has(forName)) continue
        const full = quotas.find((quota) => this.#isFull(quota, owner))
        if (full) {
          waiting.forName = full.name
          blocked.add(full.name)
          continue
        }
        this.#take(owner, quotas)
      }
      waiting.givenAt = now
      turns.push(turnOf(owner, waiting, now))
    }
    return turns
  }

  turnOf: QuotaStore['turnOf'] = async (call) => {
    const waiting = this.#data.waiting.get(encode(call))
    if (!waiting) return undefined
    return waiting.givenAt === undefined ? 'waits' : turnOf(encode(call), waiting, waiting.givenAt)
  }

  waitedFor: QuotaStore['waitedFor'] = async () => {
    const waiting = [...this.#data.waiting.values()].filter(({ givenAt }) => givenAt === undefined)
    return [...new Set(waiting.map(({ forName }) => forName))]
  }

  leaveQueue: QuotaStore['leaveQueue'] = async (turn) => {
    const owner = encode(turn)
    if (this.#data.waiting.get(owner)?.givenAt === turn.toldAt) this.#data.waiting.delete(owner)
  }

  #take(owner: string, quotas: readonly Quota[]) {
    for (const quota of quotas) {
      const places = this.#places(quota)
      if (quota.windowMs === undefined || !places.has(owner)) places.set(owner, Date.now())
    }
  }

  #isFull(quota: Quota, owner: string) {
    const places = this.#places(quota)
    return !places.has(owner) && places.size >= quota.most
  }

  #isWaitedFor(quota: Quota, owner: string) {
    if (this.#places(quota).has(owner)) return false
    return [...this.#data.waiting.values()].some(
      ({ forName, givenAt }) => forName === quota.name && givenAt === undefined,
    )
  }

  /** Of the place whose end makes room. */
  #freeInMs(quota: Quota) {
    const places = this.#places(quota)
    if (quota.windowMs === undefined || places.size < quota.most) return undefined
    const taken = [...places.values()].toSorted((a, b) => a - b)[places.size - quota.most] ?? Date.now()
    return taken + quota.windowMs - Date.now()
  }

  #places({ name, windowMs = Number.POSITIVE_INFINITY }: Quota): Map<string, number> {
    const { places } = this.#data.quotas.get(name) ?? { places: new Map<string, number>() }
    this.#data.quotas.set(name, { places, windowMs })
    const from = Date.now() - windowMs
    for (const [owner, at] of places) if (at <= from) places.delete(owner)
    return places
  }
}

function turnOf(owner: string, { since, quotas }: Waiting, toldAt: number): Turn {
  const names = quotas.map(({ name }) => name)
  return { ...decode(owner), waitedMs: Date.now() - since, toldAt, names }
}

const encode = ({ scope, callId }: PlaceOwner) => `${scope} ${callId}`

function decode(owner: string): PlaceOwner {
  const [scope = '', callId = ''] = owner.split(' ')
  return { scope, callId }
}
