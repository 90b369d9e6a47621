import { bytesIn, pagesOf } from '@mcp-durable/core/transfer'
import type {
  DuePiece,
  HistoryPiece,
  ListedPiece,
  LogPiece,
  MapPiece,
  MarksPiece,
  NodePiece,
  Piece,
  PlacesPiece,
  ValuesPiece,
} from '@mcp-durable/core/transfer'
import type { LogName } from '@mcp-durable/core/store'
import { literally } from '../inspect/reading.js'
import { pairs } from '../replies.js'
import type { Reading } from '../inspect/reading.js'
import type { Keys } from '../keys.js'
import { decodeHistory } from '../replies.js'
import { decodeOwner } from '../quotas.js'
import { decodeDue } from '../takeover.js'
import { MARK_MS } from '../values-and-maps.js'
import { listOf, quotaOf } from './names.js'
import { expiryOf, readScope } from './scope.js'
import { waitingPieces } from './waiting.js'

/** Members of a sorted set that are read at once. */
const MEMBERS = 1000
const LONGEST_WINDOW_MS = 24 * 60 * 60_000
/** Keys that are looked at together: as many as this, or fewer where those before them had much data. */
const TOGETHER = 50
const BYTES_TOGETHER = 16 << 20

type RawEntry = [id: string, fields: string[]]

/** What the keys under a prefix hold, key by key. */
export class Pieces {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  async names(): Promise<string[]> {
    const names = new Set<string>()
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:@*`)) {
      for (const key of page) {
        const place = this.#keys.describe(key)
        if (place.kind === 'named') names.add(place.name)
      }
    }
    return [...names].toSorted()
  }

  async *all(): AsyncGenerator<Piece> {
    const seen = new Set<string>()
    let together = TOGETHER
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:*`)) {
      const fresh = page.filter((key) => !seen.has(key) && seen.add(key))
      for (let from = 0; from < fresh.length;) {
        // The first pieces of all are asked for before any is handed on.
        const begun = fresh.slice(from, from + together).map((key) => {
          const pieces = this.#of(key)
          return { pieces, first: pieces.next() }
        })
        const firsts = await Promise.all(begun.map(({ first }) => first))
        const bytes = firsts.reduce((sum, { value }) => sum + (value ? bytesIn(value) : 0), 0)
        from += begun.length
        together = atMost(TOGETHER, (begun.length * BYTES_TOGETHER) / bytes)
        for (const [i, { pieces }] of begun.entries()) {
          const first = firsts[i]
          if (!first || first.done) continue
          yield first.value
          yield* pieces
        }
      }
    }
  }

  #of(key: string): AsyncGenerator<Piece, void> {
    const place = this.#keys.describe(key)
    switch (place.kind) {
      case 'session':
        return one(readScope(this.#reading, this.#keys, place.scope))
      case 'out':
        return this.#log(place.scope, 'out')
      case 'journal':
        return this.#log(place.scope, `call:${place.callId}`)
      case 'inbox':
        return this.#log(place.scope, `call:${place.callId}:in`)
      case 'history':
        return this.#history(place.scope)
      case 'state':
        return one(this.#values(place.scope))
      case 'marks':
        return this.#marks(key, { scope: place.scope })
      case 'map':
        return this.#map(place.map)
      case 'map-marks':
        return this.#marks(key, { map: place.map })
      case 'nodes':
        return this.#nodes()
      case 'due':
        return this.#due()
      case 'quota':
        return key === `${this.#keys.quotas()}:waits`
          ? waitingPieces(this.#reading, this.#keys)
          : one(this.#places(key))
      case 'sessions':
      case 'principal':
        return this.#listed(key)
      default:
        // The rest goes with these, lasts a minute, or is another's.
        return one(Promise.resolve(undefined))
    }
  }

  /** What belongs to a scope is found by nobody when that is gone. */
  async #scopeExpiry(scope: string): Promise<number | undefined | 'gone'> {
    const key = this.#keys.session(scope)
    const [principal, expiry] = await Promise.all([
      this.#reading.ask('HGET', [key, 'p']),
      expiryOf(this.#reading, key),
    ])
    return principal === null ? 'gone' : expiry
  }

  async *#log(scope: string, log: LogName): AsyncGenerator<LogPiece, void> {
    const key = this.#keys.log(scope, log)
    const [expiresAt, listed, scopeExpiresAt] = await Promise.all([
      expiryOf(this.#reading, key),
      this.#reading.ask('ZSCORE', [this.#keys.ended(scope), log]),
      this.#scopeExpiry(scope),
    ])
    if (expiresAt === 'gone' || scopeExpiresAt === 'gone') return
    const rest = { kind: 'log', scope, log, expiresAt, scopeExpiresAt, endsAlone: listed !== null } as const
    let isTrimmed = false
    for await (const { page, first } of this.#stream(key)) {
      if (first) isTrimmed = !hasField(page[0], 'f')
      const entries = page.map(([id, fields]) => {
        const after = Number(valueOf(fields, 't') ?? 0)
        return { id, data: valueOf(fields, 'd') ?? '', ...(after > 0 && { after }) }
      })
      yield { ...rest, first, isTrimmed, entries }
    }
  }

  async *#history(scope: string): AsyncGenerator<HistoryPiece, void> {
    const key = this.#keys.history(scope)
    const expiresAt = await expiryOf(this.#reading, key)
    if (expiresAt === 'gone') return
    for await (const { page, first } of this.#stream(key)) {
      const entries = decodeHistory(page).map(({ id, log, entry, data }) => ({ id, log, entry, data }))
      yield { kind: 'history', scope, first, entries, expiresAt }
    }
  }

  #stream(key: string) {
    return pagesOf<RawEntry>(
      async (after, most) => {
        const from = after === undefined ? '-' : `(${after[0]}`
        return (await this.#reading.ask('XRANGE', [key, from, '+', 'COUNT', most])) as RawEntry[]
      },
      ([, fields]) => fields.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    )
  }

  async #values(scope: string): Promise<ValuesPiece | undefined> {
    const key = this.#keys.state(scope)
    const [expiresAt, scopeExpiresAt] = await Promise.all([
      expiryOf(this.#reading, key),
      this.#scopeExpiry(scope),
    ])
    if (expiresAt === 'gone' || scopeExpiresAt === 'gone') return undefined
    const fields = new Map(await this.#members('HSCAN', key))
    const values = [...fields]
      .filter(([field]) => field.startsWith('k:'))
      .map(([field, text]) => {
        const space = text.indexOf(' ')
        return { key: field.slice(2), version: Number(text.slice(0, space)), data: text.slice(space + 1) }
      })
    const version = Number(fields.get('v') ?? 0)
    return { kind: 'values', scope, version, values, expiresAt, scopeExpiresAt }
  }

  /** Those of a scope are kept by when they go, those of a map by when they were made. */
  async *#marks(key: string, of: MarksPiece['of']): AsyncGenerator<MarksPiece, void> {
    const [expiresAt, scopeExpiresAt] = await Promise.all([
      expiryOf(this.#reading, key),
      'scope' in of ? this.#scopeExpiry(of.scope) : undefined,
    ])
    if (expiresAt === 'gone' || scopeExpiresAt === 'gone') return
    let first = true
    for await (const page of this.#sorted(key)) {
      const marks = page
        .map(([mark, at]) => ({ mark, until: Number(at) + ('map' in of ? MARK_MS : 0) }))
        .filter(({ until }) => until > Date.now())
      yield { kind: 'marks', of, first, marks, expiresAt, scopeExpiresAt }
      first = false
    }
  }

  async *#map(map: string): AsyncGenerator<MapPiece, void> {
    const [keys = '', values = ''] = this.#keys.map(map)
    const pages = pagesOf<[string, string]>(
      async (after, most) => {
        const from = after === undefined ? '-' : `(${after[0]}`
        const page = await this.#reading.texts('ZRANGEBYLEX', keys, from, '+', 'LIMIT', 0, most)
        if (page.length === 0) return []
        const found = (await this.#reading.ask('HMGET', [values, ...page])) as string[]
        return page.map((key, i): [string, string] => [key, found[i] ?? ''])
      },
      ([key, value]) => Buffer.byteLength(key) + Buffer.byteLength(value),
    )
    for await (const { page, first } of pages) yield { kind: 'map', map, first, entries: page }
  }

  async *#nodes(): AsyncGenerator<NodePiece, void> {
    for (const [node, beatAt] of await this.#members('ZSCAN', this.#keys.nodes())) {
      const about = await this.#reading.ask('HGET', [this.#keys.about(), node])
      const held: string[] = []
      for await (const page of this.#reading.members('SSCAN', this.#keys.heldBy(node))) held.push(...page)
      const scopes = [...new Set(held)]
      yield {
        kind: 'node',
        node,
        beatAt: Number(beatAt),
        about: (about as string | null) ?? '',
        held: scopes,
      }
    }
  }

  async *#due(): AsyncGenerator<DuePiece, void> {
    for await (const page of this.#sorted(this.#keys.due()))
      yield { kind: 'due', entries: page.map(([due, at]) => ({ ...decodeDue(due), at: Number(at) })) }
  }

  async #places(key: string): Promise<PlacesPiece | undefined> {
    const quota = quotaOf(this.#keys, key)
    const expiresAt = await expiryOf(this.#reading, key)
    if (quota === undefined || typeof expiresAt !== 'number') return undefined
    const members = await this.#members('ZSCAN', key)
    // The key lasts for its window after the last place was taken, or for long where there is none.
    const leftMs = expiresAt - members.reduce((last, [, takenAt]) => Math.max(last, Number(takenAt)), 0)
    const windowMs = leftMs < LONGEST_WINDOW_MS ? leftMs : undefined
    const places = members
      .map(([call, takenAt]) => ({ ...decodeOwner(call), takenAt: Number(takenAt) }))
      .filter(({ takenAt }) => windowMs === undefined || takenAt + windowMs > Date.now())
    return { kind: 'places', quota, places, windowMs }
  }

  async *#listed(key: string): AsyncGenerator<ListedPiece, void> {
    const list = listOf(this.#keys, key)
    if (!list) return
    for await (const page of this.#reading.members('ZSCAN', key)) {
      const scopes = pairs(page).map(([scope, until]) => ({ scope, until: Number(until) }))
      yield { kind: 'listed', ...list, scopes }
    }
  }

  /** All with their scores, the lowest first. Nobody changes it meanwhile. */
  async *#sorted(key: string): AsyncGenerator<Array<[string, string]>, void> {
    for (let from = 0; ; from += MEMBERS) {
      const page = pairs(await this.#reading.ask('ZRANGE', [key, from, from + MEMBERS - 1, 'WITHSCORES']))
      if (page.length > 0) yield page
      if (page.length < MEMBERS) return
    }
  }

  /** Each once. */
  async #members(command: 'HSCAN' | 'ZSCAN', key: string): Promise<Array<[string, string]>> {
    const members = new Map<string, string>()
    for await (const page of this.#reading.members(command, key))
      for (const [name, value] of pairs(page)) members.set(name, value)
    return [...members]
  }
}

const atMost = (most: number, wanted: number) => Math.max(1, Math.min(most, Math.floor(wanted)))

async function* one<T extends Piece>(piece: Promise<T | undefined>): AsyncGenerator<T, void> {
  const read = await piece
  if (read) yield read
}

function valueOf(fields: readonly string[], name: string): string | undefined {
  const at = fields.findIndex((text, i) => i % 2 === 0 && text === name)
  return at < 0 ? undefined : fields[at + 1]
}

const hasField = (entry: RawEntry | undefined, name: string) =>
  entry !== undefined && valueOf(entry[1], name) !== undefined
