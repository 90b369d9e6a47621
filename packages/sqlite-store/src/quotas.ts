import type { FullQuotas, PlaceOwner, Quota, QuotaStore, Turn } from '@mcp-durable/core/store'
import type { Space } from './space.js'

type Waiting = {
  id: number
  scope: string
  call: string
  since: number
  quotas: string
  quota: string
  given_at: number | null
}

const COUNT = 'SELECT count(*) AS taken FROM places WHERE name = ? AND quota = ? AND at > ?'
const HAS = 'SELECT 1 FROM places WHERE name = ? AND quota = ? AND scope = ? AND call = ? AND at > ?'
const TAKE = 'INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)'
const FIRST_WAITING =
  'SELECT * FROM waiting WHERE name = ? AND quota = ? AND given_at IS NULL ORDER BY id LIMIT 1'

/** Places in quotas, and who waits for one. */
export class Quotas implements QuotaStore {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  takePlaces: QuotaStore['takePlaces'] = (call, quotas, queued = []) =>
    this.#space.write((now): FullQuotas | undefined => {
      const isFull = (quota: Quota) => this.#isFull(quota, call, now) || this.#isWaitedFor(quota, call, now)
      const [full, mayWait] = [quotas.filter(isFull), queued.filter(isFull)]
      const all = [...full, ...mayWait]
      const [first] = mayWait
      if (all.length === 0) this.#take(call, [...quotas, ...queued], now)
      if (first && full.length === 0) {
        this.#take(call, quotas, now)
        this.#wait(call, queued, first.name, now)
      }
      if (all.length === 0) return undefined
      const freeInMs = Math.max(...all.map((quota) => this.#freeInMs(quota, now)))
      return {
        names: all.map(({ name }) => name),
        freeInMs: Number.isFinite(freeInMs) ? freeInMs : undefined,
        isQueued: full.length === 0,
      }
    })

  /** One whose turn had come, and whose places were given back since, stands where it stood. */
  #wait({ scope, callId }: PlaceOwner, quotas: readonly Quota[], quota: string, now: number) {
    const { sql, name } = this.#space
    const wait = `INSERT INTO waiting (name, scope, call, since, quotas, quota) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (name, scope, call) DO UPDATE SET quotas = excluded.quotas, quota = excluded.quota, given_at = NULL
      WHERE given_at IS NOT NULL`
    sql.run(wait, name, scope, callId, now, JSON.stringify(quotas), quota)
  }

  releasePlaces: QuotaStore['releasePlaces'] = (call, names, takenAt = Number.MAX_SAFE_INTEGER) =>
    this.#space.write(() => {
      const { sql, name } = this.#space
      if (takenAt === Number.MAX_SAFE_INTEGER) this.#leave(call)
      const release = 'DELETE FROM places WHERE name = ? AND quota = ? AND scope = ? AND call = ? AND at <= ?'
      for (const quota of names) sql.run(release, name, quota, call.scope, call.callId, takenAt)
      return sql.get('SELECT 1 FROM waiting WHERE name = ? LIMIT 1', name) !== undefined
    })

  touchPlaces: QuotaStore['touchPlaces'] = (call, names) =>
    this.#space.write((now) => {
      for (const quota of names) this.#touch(call, quota, now - 1)
      return now - 1
    })

  oldPlaces: QuotaStore['oldPlaces'] = (quota, olderThanMs, limit) =>
    this.#space.write((now) => {
      const { sql, name } = this.#space
      const old =
        'SELECT scope, call FROM places WHERE name = ? AND quota = ? AND at <= ? ORDER BY at LIMIT ?'
      const rows = sql.all<{ scope: string; call: string }>(old, name, quota, now - olderThanMs, limit)
      const owners = rows.map(({ scope, call }) => ({ scope, callId: call }))
      for (const owner of owners) this.#touch(owner, quota, now)
      return owners.map((owner) => ({ ...owner, takenAt: now }))
    })

  #touch({ scope, callId }: PlaceOwner, quota: string, at: number) {
    const { sql, name } = this.#space
    const touch = 'UPDATE places SET at = ? WHERE name = ? AND quota = ? AND scope = ? AND call = ?'
    sql.run(touch, at, name, quota, scope, callId)
  }

  nextTurns: QuotaStore['nextTurns'] = (againMs, limit) =>
    this.#space.write((now) => {
      const { sql, name } = this.#space
      const again = 'SELECT * FROM waiting WHERE name = ? AND given_at <= ? ORDER BY id LIMIT ?'
      const turns = sql.all<Waiting>(again, name, now - againMs, limit)
      // Who stands first for each quota; last of them, who has waited for longest.
      let heads: Waiting[] = []
      const look = (quota: string) => {
        const head = sql.get<Waiting>(FIRST_WAITING, name, quota)
        if (head) heads.push(head)
      }
      const sort = () => (heads = heads.toSorted((a, b) => b.id - a.id))
      for (const quota of this.#waitedFor()) look(quota)
      sort()
      // Nobody passes another one who waits for the same quota.
      const blocked = new Set<string>()
      while (turns.length < limit) {
        const first = heads.pop()
        if (!first) break
        if (blocked.has(first.quota)) continue
        const full = this.#giveOrMove(first, now)
        if (full === undefined) turns.push(first)
        else blocked.add(full)
        if (full === first.quota) continue
        look(first.quota)
        sort()
      }
      for (const { id } of turns) sql.run('UPDATE waiting SET given_at = ? WHERE id = ?', now, id)
      return turns.map((waiting) => turnOf(waiting, now, now))
    })

  turnOf: QuotaStore['turnOf'] = ({ scope, callId }) =>
    this.#space.read((now) => {
      const { sql, name } = this.#space
      const wait = 'SELECT * FROM waiting WHERE name = ? AND scope = ? AND call = ?'
      const waiting = sql.get<Waiting>(wait, name, scope, callId)
      if (!waiting) return undefined
      return waiting.given_at === null ? 'waits' : turnOf(waiting, waiting.given_at, now)
    })

  /** Who waits has its places, or waits on for the first that is full, which is told. */
  #giveOrMove({ id, scope, call: callId, quota, quotas }: Waiting, now: number): string | undefined {
    const { sql } = this.#space
    const wanted = JSON.parse(quotas) as Quota[]
    const call = { scope, callId }
    const full = wanted.find((each) => this.#isFull(each, call, now))?.name
    if (full === undefined) {
      this.#take(call, wanted, now)
      sql.run('UPDATE waiting SET given_at = ? WHERE id = ?', now, id)
    } else if (full !== quota) sql.run('UPDATE waiting SET quota = ? WHERE id = ?', full, id)
    return full
  }

  waitedFor: QuotaStore['waitedFor'] = () => this.#space.read(() => this.#waitedFor())

  #waitedFor(): string[] {
    const { sql, name } = this.#space
    const waited = 'SELECT DISTINCT quota FROM waiting WHERE name = ? AND given_at IS NULL'
    return sql.all<{ quota: string }>(waited, name).map(({ quota }) => quota)
  }

  leaveQueue: QuotaStore['leaveQueue'] = ({ scope, callId, toldAt }) =>
    this.#space.write(() => {
      const { sql, name } = this.#space
      const leave = 'DELETE FROM waiting WHERE name = ? AND scope = ? AND call = ? AND given_at = ?'
      sql.run(leave, name, scope, callId, toldAt)
    })

  #leave({ scope, callId }: PlaceOwner) {
    const { sql, name } = this.#space
    sql.run('DELETE FROM waiting WHERE name = ? AND scope = ? AND call = ?', name, scope, callId)
  }

  /** A place of a window is had as of the time when it was taken first. */
  #take(call: PlaceOwner, quotas: readonly Quota[], now: number) {
    const { sql, name, engine } = this.#space
    for (const quota of quotas) {
      const { name: of, windowMs } = quota
      if (windowMs !== undefined && this.#has(quota, call, now)) continue
      const until = windowMs === undefined ? undefined : Math.ceil(now + windowMs)
      sql.run(TAKE, name, of, call.scope, call.callId, now, until)
      if (until !== undefined) engine.expires(until)
    }
  }

  #has(quota: Quota, { scope, callId }: PlaceOwner, now: number): boolean {
    const { sql, name } = this.#space
    return sql.get(HAS, name, quota.name, scope, callId, from(quota, now)) !== undefined
  }

  #taken(quota: Quota, now: number): number {
    const { sql, name } = this.#space
    return sql.get<{ taken: number }>(COUNT, name, quota.name, from(quota, now))?.taken ?? 0
  }

  #isFull(quota: Quota, call: PlaceOwner, now: number): boolean {
    return this.#taken(quota, now) >= quota.most && !this.#has(quota, call, now)
  }

  #isWaitedFor(quota: Quota, call: PlaceOwner, now: number): boolean {
    const { sql, name } = this.#space
    return sql.get(FIRST_WAITING, name, quota.name) !== undefined && !this.#has(quota, call, now)
  }

  /** Of the place whose end makes room; infinite where that is not known. */
  #freeInMs(quota: Quota, now: number): number {
    const { sql, name } = this.#space
    const taken = this.#taken(quota, now)
    if (quota.windowMs === undefined || taken < quota.most) return Number.POSITIVE_INFINITY
    const place = 'SELECT at FROM places WHERE name = ? AND quota = ? AND at > ? ORDER BY at LIMIT 1 OFFSET ?'
    const { at = now } =
      sql.get<{ at: number }>(place, name, quota.name, from(quota, now), taken - quota.most) ?? {}
    return at + quota.windowMs - now
  }
}

function turnOf({ scope, call, since, quotas }: Waiting, toldAt: number, now: number): Turn {
  const names = (JSON.parse(quotas) as Quota[]).map(({ name }) => name)
  return { scope, callId: call, waitedMs: now - since, toldAt, names }
}

/** Places that were taken before are over. */
const from = ({ windowMs }: Quota, now: number) => (windowMs === undefined ? -1 : now - windowMs)
