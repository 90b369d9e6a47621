import { createHash } from 'node:crypto'
import type { Piece, ScopePiece } from '@mcp-durable/core/transfer'
import { count } from '../show/text.js'

const KINDS = [
  'sessions',
  'scopes',
  'calls',
  'entries',
  'history',
  'values',
  'maps',
  'marks',
  'nodes',
  'waits',
] as const
type Kind = (typeof KINDS)[number]

type Counts = Record<Kind, number>
/** A digest does not depend on the order. */
type Share = { counts: Counts; digest: bigint }

const MINUTE_MS = 60_000
const none = (): Share => ({
  counts: Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Counts,
  digest: 0n,
})

/** How much was moved of what, and a digest of it; apart for each minute in which something of it expires. */
export class Tally {
  readonly #shares: Map<number, Share>

  constructor(shares = new Map<number, Share>()) {
    this.#shares = shares
  }

  add(piece: Piece) {
    switch (piece.kind) {
      case 'scope': {
        const { scope, expiresAt } = piece
        this.#count(piece.version > 0 ? 'sessions' : 'scopes', expiresAt, normal(piece))
        for (const { expiresAt: until, requestKeys, ...call } of piece.openCalls)
          this.#digest(['open', scope, byName(call), [...requestKeys].toSorted()], earliest(until, expiresAt))
        for (const { requestKey, callId, expiresAt: until } of piece.kept)
          this.#digest(['kept', scope, requestKey, callId], earliest(until, expiresAt))
        break
      }
      case 'log': {
        const { scope, log, isTrimmed, endsAlone, expiresAt } = piece
        const until = earliest(expiresAt, piece.scopeExpiresAt)
        if (piece.first && /^call:[^:]*$/.test(log))
          this.#count('calls', until, [scope, log, isTrimmed, endsAlone && expiresAt])
        for (const { id, data, after = 0 } of piece.entries)
          this.#count('entries', until, [scope, log, id, data, after])
        break
      }
      case 'history':
        for (const { id, log, entry, data } of piece.entries)
          this.#count('history', piece.expiresAt, [piece.scope, id, log, entry, data])
        break
      case 'values':
        for (const { key, version, data } of piece.values)
          this.#count('values', piece.scopeExpiresAt, [piece.scope, key, version, data])
        break
      case 'map':
        for (const entry of piece.entries) this.#count('maps', undefined, [piece.map, ...entry])
        break
      case 'marks':
        for (const { mark, until } of piece.marks)
          this.#count('marks', earliest(until, piece.scopeExpiresAt), [piece.of, mark, until])
        break
      case 'node':
        this.#count('nodes', undefined, [piece.node, piece.beatAt, piece.about, [...piece.held].toSorted()])
        break
      case 'due':
        for (const { scope, callId, nonce, at } of piece.entries)
          this.#count('waits', undefined, ['due', scope, callId, nonce, at])
        break
      case 'places':
        for (const { scope, callId, takenAt } of piece.places) {
          const until = piece.windowMs === undefined ? undefined : takenAt + piece.windowMs
          this.#count('waits', until, ['place', piece.quota, scope, callId, takenAt])
        }
        break
      case 'waiting': {
        const { call, at, on, quotas, givenAt } = piece
        const asked = quotas.map(({ name, most, windowMs }) => [name, most, windowMs])
        this.#count('waits', undefined, ['queued', call.scope, call.callId, at, on, asked, givenAt])
        break
      }
      case 'listed':
        // Follows from the rest, and may name what is gone.
        break
    }
  }

  /** What is there for longer. */
  after(time: number): Tally {
    return new Tally(new Map([...this.#shares].filter(([minute]) => minute * MINUTE_MS > time)))
  }

  get counts(): Counts {
    const { counts } = none()
    for (const share of this.#shares.values()) for (const kind of KINDS) counts[kind] += share.counts[kind]
    return counts
  }

  get digest(): string {
    return [...this.#shares.values()].reduce((all, { digest }) => all ^ digest, 0n).toString(36)
  }

  /** `3 sessions, 5 calls, 120 entries` */
  get told(): string {
    const { sessions, calls, entries, history, values, maps } = this.counts
    const parts = [
      count(sessions, 'session'),
      count(calls, 'call'),
      count(entries, 'entry', 'entries'),
      ...(values > 0 ? [count(values, 'value')] : []),
      ...(maps > 0 ? [count(maps, 'entry of maps', 'entries of maps')] : []),
      ...(history > 0 ? [count(history, 'entry of histories', 'entries of histories')] : []),
    ]
    return parts.join(', ')
  }

  #count(kind: Kind, expiresAt: number | undefined, item: unknown) {
    this.#digest([kind, item], expiresAt).counts[kind]++
  }

  #digest(item: unknown, expiresAt = Number.POSITIVE_INFINITY): Share {
    const minute = Math.floor(expiresAt / MINUTE_MS)
    const share = this.#shares.get(minute) ?? none()
    this.#shares.set(minute, share)
    const hash = createHash('sha256').update(JSON.stringify(item))
    share.digest ^= hash.digest().readBigUInt64BE()
    return share
  }
}

const earliest = (a = Number.POSITIVE_INFINITY, b = Number.POSITIVE_INFINITY) => Math.min(a, b)

/** Without what is only counted or goes earlier, and in one order. */
function normal(piece: ScopePiece) {
  const { kind: _kind, sizes: _sizes, changes: _changes, openCalls: _calls, kept: _kept, ...rest } = piece
  const { state, expected, ...fields } = rest
  return [
    byName(fields),
    state.map(({ key, version, at, data }) => JSON.stringify([key, version, at, data])).toSorted(),
    [...expected].toSorted(),
  ]
}

const byName = (fields: object) => Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1))
