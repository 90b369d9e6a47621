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

/** How much was moved of what; and a digest of all of it, which does not depend on the order. */
export class Tally {
  readonly counts: Record<Kind, number> = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<
    Kind,
    number
  >
  #digest = 0n

  add(piece: Piece) {
    switch (piece.kind) {
      case 'scope':
        this.#item(piece.version > 0 ? 'sessions' : 'scopes', normal(piece))
        break
      case 'log': {
        const { scope, log, isTrimmed, endsAlone, expiresAt } = piece
        if (piece.first && /^call:[^:]*$/.test(log))
          this.#item('calls', [scope, log, isTrimmed, endsAlone && expiresAt])
        for (const { id, data, after = 0 } of piece.entries)
          this.#item('entries', [scope, log, id, data, after])
        break
      }
      case 'history':
        for (const { id, log, entry, data } of piece.entries)
          this.#item('history', [piece.scope, id, log, entry, data])
        break
      case 'values':
        for (const { key, version, data } of piece.values)
          this.#item('values', [piece.scope, key, version, data])
        break
      case 'map':
        for (const entry of piece.entries) this.#item('maps', [piece.map, ...entry])
        break
      case 'marks':
        for (const { mark, until } of piece.marks) this.#item('marks', [piece.of, mark, until])
        break
      case 'node':
        this.#item('nodes', [piece.node, piece.beatAt, piece.about, [...piece.held].toSorted()])
        break
      case 'due':
        for (const { scope, callId, nonce, at } of piece.entries)
          this.#item('waits', ['due', scope, callId, nonce, at])
        break
      case 'places':
        for (const { scope, callId, takenAt } of piece.places)
          this.#item('waits', ['place', piece.quota, scope, callId, takenAt])
        break
      case 'waiting': {
        const { call, at, on, quotas, givenAt } = piece
        const asked = quotas.map(({ name, most, windowMs }) => [name, most, windowMs])
        this.#item('waits', ['queued', call.scope, call.callId, at, on, asked, givenAt])
        break
      }
      case 'listed':
        // Follows from the rest, and may name what is gone.
        break
    }
  }

  get digest(): string {
    return this.#digest.toString(36)
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

  #item(kind: Kind, item: unknown) {
    this.counts[kind]++
    const hash = createHash('sha256').update(JSON.stringify([kind, item]))
    this.#digest ^= hash.digest().readBigUInt64BE()
  }
}

/** Without what is only counted, and in one order. */
function normal(piece: ScopePiece) {
  const { kind: _kind, sizes: _sizes, changes: _changes, state, openCalls, kept, expected, ...rest } = piece
  const fields = Object.entries(rest).toSorted(byName)
  const calls = openCalls.map(({ callId, owner, claims, isJoined, bytes, requestKeys }) =>
    JSON.stringify([callId, owner, claims, isJoined, bytes, [...requestKeys].toSorted()]),
  )
  return [
    fields,
    state.map(({ key, version, at, data }) => JSON.stringify([key, version, at, data])).toSorted(),
    calls.toSorted(),
    // They go with their journals, but for a ms that stores round in ways of their own.
    kept.map(({ requestKey, callId }) => JSON.stringify([requestKey, callId])).toSorted(),
    [...expected].toSorted(),
  ]
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1)
