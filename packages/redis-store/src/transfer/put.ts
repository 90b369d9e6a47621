import type {
  HistoryPiece,
  ListedPiece,
  LogPiece,
  MapPiece,
  MarksPiece,
  NodePiece,
  Piece,
  PlacesPiece,
  ScopePiece,
  ValuesPiece,
  WaitingPiece,
} from '@mcp-durable/core/transfer'
import { storeError } from '../errors.js'
import type { InspectableRedis } from '../inspect/reading.js'
import type { Keys } from '../keys.js'
import { encodeOwner } from '../quotas.js'
import { encodeDue } from '../takeover.js'
import { MARK_MS } from '../values-and-maps.js'
import { keyOf } from './names.js'
import { scopeFields } from './scope.js'
import { encodeWait } from './waiting.js'

/** What is kept while anybody is there: nodes, due calls, quotas. */
const FORGET_MS = 30 * 24 * 60 * 60_000
/** Arguments of one command. */
const AT_ONCE = 1000

type Command = [name: string, key: string, ...args: (string | number)[]]

/** Writes pieces with commands of their own, those of one key in their order. */
export class PiecePutter {
  readonly #redis: InspectableRedis
  readonly #keys: Keys

  constructor(redis: InspectableRedis, keys: Keys) {
    this.#redis = redis
    this.#keys = keys
  }

  async put(piece: Piece): Promise<void> {
    try {
      await Promise.all(this.#commands(piece).map(([name, ...args]) => this.#redis.call(name, ...args)))
    } catch (error) {
      throw storeError(error, false)
    }
  }

  #commands(piece: Piece): Command[] {
    switch (piece.kind) {
      case 'scope':
        return this.#scope(piece)
      case 'log':
        return this.#log(piece)
      case 'history':
        return this.#history(piece)
      case 'values':
        return this.#values(piece)
      case 'marks':
        return this.#marks(piece)
      case 'map':
        return this.#map(piece)
      case 'node':
        return this.#node(piece)
      case 'due':
        return lasting(
          inBites(
            'ZADD',
            this.#keys.due(),
            piece.entries.flatMap((entry) => [entry.at, encodeDue(entry)]),
          ),
          latest([Date.now(), ...piece.entries.map(({ at }) => at)]) + FORGET_MS,
        )
      case 'places':
        return this.#places(piece)
      case 'waiting':
        return this.#waiting(piece)
      case 'listed':
        return this.#listed(piece)
    }
  }

  #scope(piece: ScopePiece): Command[] {
    const key = this.#keys.session(piece.scope)
    const kept = piece.kept.flatMap(({ requestKey, callId, expiresAt }): Command[] => [
      ['SET', `${key}:ended:${requestKey}`, callId, 'PXAT', expiresAt],
      ...this.#endsAlone(piece.scope, `ended:${requestKey}`, expiresAt),
    ])
    return [['UNLINK', key], ...expiring(inBites('HSET', key, scopeFields(piece)), piece.expiresAt), ...kept]
  }

  /** Listed, so that it goes with its scope. */
  #endsAlone(scope: string, name: string, expiresAt: number): Command[] {
    const list = this.#keys.ended(scope)
    return [['ZADD', list, expiresAt, name], ...lasting([], expiresAt, list)]
  }

  #log({ scope, log, first, isTrimmed, entries, expiresAt, endsAlone }: LogPiece): Command[] {
    const key = this.#keys.log(scope, log)
    const adds = entries.map(({ id, data, after }, i) => [
      id,
      'd',
      data,
      ...(i === 0 && first && !isTrimmed ? ['f', ''] : []),
      ...(after === undefined ? [] : ['t', after]),
    ])
    const isListed = endsAlone && expiresAt !== undefined
    return [
      ...stream(key, first, adds, expiresAt),
      ...(isListed ? this.#endsAlone(scope, log, expiresAt) : []),
    ]
  }

  #history({ scope, first, entries, expiresAt }: HistoryPiece): Command[] {
    const adds = entries.map(({ id, log, entry, data }) => [id, 'l', log, 'i', entry, 'd', data])
    return stream(this.#keys.history(scope), first, adds, expiresAt)
  }

  #values({ scope, version, values, expiresAt }: ValuesPiece): Command[] {
    const key = this.#keys.state(scope)
    const bytes = values.reduce(
      (sum, { key: of, data }) => sum + Buffer.byteLength(of) + Buffer.byteLength(data),
      0,
    )
    const fields = values.flatMap(({ key: of, version: at, data }) => [`k:${of}`, `${at} ${data}`])
    return [
      ['UNLINK', key],
      ...expiring(inBites('HSET', key, ['v', version, 'b', bytes, ...fields]), expiresAt),
    ]
  }

  #marks({ of, first, marks, expiresAt }: MarksPiece): Command[] {
    const [key, madeMs] =
      'scope' in of ? [this.#keys.marks(of.scope), 0] : [this.#keys.map(of.map)[2] ?? '', MARK_MS]
    const members = marks.flatMap(({ mark, until }) => [until - madeMs, mark])
    return [
      ...(first ? [['UNLINK', key] satisfies Command] : []),
      ...expiring(inBites('ZADD', key, members), expiresAt),
    ]
  }

  #map({ map, first, entries }: MapPiece): Command[] {
    const [keys = '', values = ''] = this.#keys.map(map)
    return [
      ...(first ? [['UNLINK', keys] satisfies Command, ['UNLINK', values] satisfies Command] : []),
      ...inBites('HSET', values, entries.flat()),
      ...inBites(
        'ZADD',
        keys,
        entries.flatMap(([key]) => [0, key]),
      ),
    ]
  }

  #node({ node, beatAt, about, held }: NodePiece): Command[] {
    const until = Date.now() + FORGET_MS
    return [
      ...lasting([['ZADD', this.#keys.nodes(), beatAt, node]], until),
      ...(about === '' ? [] : lasting([['HSET', this.#keys.about(), node, about]], until)),
      ...lasting(inBites('SADD', this.#keys.heldBy(node), held), until),
    ]
  }

  #places({ quota, places, windowMs = FORGET_MS }: PlacesPiece): Command[] {
    const key = this.#keys.quota(quota)
    const members = places.flatMap(({ takenAt, ...call }) => [takenAt, encodeOwner(call)])
    const last = latest(places.map(({ takenAt }) => takenAt))
    return members.length === 0 ? [] : lasting(inBites('ZADD', key, members), last + windowMs)
  }

  #waiting(piece: WaitingPiece): Command[] {
    const call = encodeOwner(piece.call)
    const quotas = this.#keys.quotas()
    const on = this.#keys.quota(piece.on)
    const until = Date.now() + FORGET_MS
    const waits = lasting([['HSET', `${quotas}:waits`, call, encodeWait(this.#keys, piece)]], until)
    if (piece.givenAt !== undefined)
      return [...waits, ...lasting([['ZADD', `${quotas}:given`, piece.givenAt, call]], until)]
    return [
      ...waits,
      ...lasting([['ZADD', `${on}:queue`, piece.at, call]], until),
      ...lasting([['ZADD', `${quotas}:waited`, 0, on]], until),
    ]
  }

  #listed({ scopes, ...list }: ListedPiece): Command[] {
    const key = keyOf(this.#keys, list)
    const members = scopes.flatMap(({ scope, until }) => [until, scope])
    return lasting(inBites('ZADD', key, members), latest(scopes.map(({ until }) => until)))
  }
}

/** Of any number. */
const latest = (times: readonly number[]) => times.reduce((last, at) => Math.max(last, at), 0)

const WITH_EXPIRY = `redis.call(ARGV[1], KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIREAT', KEYS[1], ARGV[2])`

/** Whoever dies here leaves no key without its expiry: it may have expired in the source before anybody begins again. */
const expiring = (commands: Command[], expiresAt: number | undefined): Command[] =>
  expiresAt === undefined
    ? commands
    : commands.map(([name, key, ...args]) => ['EVAL', WITH_EXPIRY, 1, key, name, expiresAt, ...args])

/** Only the very first entry makes the key: it may expire before the others come. */
function stream(
  key: string,
  first: boolean,
  adds: ReadonlyArray<readonly (string | number)[]>,
  expiresAt: number | undefined,
): Command[] {
  const commands = adds.map((add, i): Command => [
    'XADD',
    key,
    ...(i === 0 && first ? [] : ['NOMKSTREAM']),
    ...add,
  ])
  return [
    ...(first ? [['UNLINK', key] satisfies Command] : []),
    ...expiring(commands.slice(0, 1), expiresAt),
    ...commands.slice(1),
  ]
}

/** Several pieces go into one key, which lasts as long as the last of them. A key without expiry would not be moved by GT. */
function lasting(commands: Command[], until: number, key = commands[0]?.[1] ?? ''): Command[] {
  if (key === '') return []
  const at = Math.ceil(until)
  return [...commands, ['PEXPIREAT', key, at, 'NX'], ['PEXPIREAT', key, at, 'GT']]
}

function inBites(name: string, key: string, args: readonly (string | number)[]): Command[] {
  const commands: Command[] = []
  for (let from = 0; from < args.length; from += AT_ONCE)
    commands.push([name, key, ...args.slice(from, from + AT_ONCE)])
  return commands
}
