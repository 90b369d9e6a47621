import { createHash } from 'node:crypto'
import type { LogName } from '@mcp-durable/core/store'

/** What the keys of a named part begin with. No key without a name has an `@` there. */
export const prefixOf = (prefix: string, name: string | undefined) =>
  name === undefined ? prefix : `${prefix}:@${name}`

/**
 * Names of keys. The hash tag is the scope, so everything of one session is in one slot of a Cluster,
 * and one script may touch all of it. Each script is given every key that it touches.
 */
export class Keys {
  readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  session(scope: string) {
    return `${this.prefix}:{${tag(scope)}}`
  }

  log(scope: string, log: LogName) {
    return `${this.session(scope)}:${log}`
  }

  /** Session, standalone log, and state: what expires together. */
  core(scope: string) {
    const session = this.session(scope)
    return [session, `${session}:out`, this.state(scope)]
  }

  /** Journal and inbox of a call. */
  call(scope: string, callId: string) {
    const journal = this.log(scope, `call:${callId}`)
    return [journal, `${journal}:in`]
  }

  /** Where a journal is for the moment in which it is made smaller. */
  copy(scope: string, callId: string) {
    return `${this.log(scope, `call:${callId}`)}:copy`
  }

  /** The ended call of a request key. */
  endedCall(scope: string, requestKey: string) {
    return `${this.ended(scope)}:${requestKey}`
  }

  /** Session, state, and its marks: all that a scope of values alone has. */
  ofValues(scope: string) {
    return [this.session(scope), this.state(scope), this.marks(scope)]
  }

  once(scope: string, nonce: string) {
    return `${this.session(scope)}:once:${nonce}`
  }

  /** What was said in a scope to its watchers, where the server has no pub/sub. */
  news(scope: string) {
    return this.once(scope, 'news')
  }

  /** Session state, which expires with the session. */
  state(scope: string) {
    return `${this.session(scope)}:state`
  }

  /** The marks of changes that a scope has seen, which expire with it. */
  marks(scope: string) {
    return `${this.session(scope)}:marks`
  }

  /** What outlives the calls of a session, by when it goes. */
  ended(scope: string) {
    return `${this.session(scope)}:ended`
  }

  /** What is kept of a session past its end. */
  history(scope: string) {
    return `${this.session(scope)}:history`
  }

  /** The keys of a map, its values, and the marks of changes it has seen. */
  map(name: string) {
    const keys = `${this.prefix}:map:{${tag(name)}}`
    return [keys, `${keys}:values`, `${keys}:marks`]
  }

  nodes() {
    return `${this.prefix}:{nodes}`
  }

  /** Names a channel on which nobody listens. In the slot of `nodes`. */
  probe() {
    return `${this.nodes()}:probe`
  }

  /** The scopes that a node holds. */
  heldBy(node: string) {
    return `${this.nodes()}:${tag(node)}`
  }

  /** What nodes say about themselves. In the slot of `nodes`. */
  about() {
    return `${this.prefix}:about:{nodes}`
  }

  /** When calls are to be claimed. */
  due() {
    return `${this.prefix}:due`
  }

  /** What the keys of quotas begin with: all of them are in one slot. */
  quotas() {
    return `${this.prefix}:quota:{quotas}`
  }

  /** What the keys of quotas begin with, who waits, whose turn has come, and which quotas are waited for. */
  turns() {
    const quotas = this.quotas()
    return [quotas, `${quotas}:waits`, `${quotas}:given`, `${quotas}:waited`]
  }

  /** Who has places in a quota. */
  quota(name: string) {
    return `${this.quotas()}:${tag(name)}`
  }

  /** A quota, and who waits for it. */
  queued(name: string) {
    const quota = this.quota(name)
    return [quota, `${quota}:queue`]
  }

  sessions() {
    return `${this.prefix}:sessions`
  }

  /** What a key of ours is for: the other way round. */
  describe(key: string): KeyPlace {
    const rest = key.slice(this.prefix.length + 1)
    if (rest.startsWith('@')) return { kind: 'named', name: /^@[^:]*/.exec(rest)?.[0].slice(1) ?? '' }
    if (rest === 'sessions' || rest === 'due') return { kind: rest }
    if (rest === 'about:{nodes}') return { kind: 'about' }
    if (rest.startsWith('quota:')) return { kind: 'quota' }
    if (/^(principal|kept|values|calls):/.test(rest)) return { kind: 'principal' }
    const [, area = '', tagged = '', part = ''] = /^(map:)?\{([^{}]*)\}(.*)$/s.exec(rest) ?? []
    if (area === 'map:') {
      const kind = MAP_PARTS[part as keyof typeof MAP_PARTS]
      return kind ? { kind, map: untag(tagged) } : { kind: 'unknown' }
    }
    if (tagged === '') return { kind: 'unknown' }
    if (tagged === 'nodes')
      return part === '' ? { kind: 'nodes' } : { kind: 'held', node: untag(part.slice(1)) }
    return placeInScope(untag(tagged), part)
  }

  /** Hashed: a principal may be long, and is nobody's business who looks at key names. */
  principal(principal: string) {
    return `${this.prefix}:principal:${hashed(principal)}`
  }

  /** The scopes of a principal that hold values alone. */
  values(principal: string) {
    return `${this.prefix}:values:${hashed(principal)}`
  }

  /** The sessions of a principal of which a history is kept, as long as it is. */
  kept(principal: string) {
    return `${this.prefix}:kept:${hashed(principal)}`
  }

  /** Calls of a principal that belong to no session: the open ones, and those that have ended. In one slot. */
  calls(principal: string) {
    const open = `${this.prefix}:calls:{${hashed(principal)}}`
    return [open, `${open}:ended`]
  }
}

const hashed = (principal: string) => createHash('sha256').update(principal).digest('base64url')

/** What a key holds, and of what. `unknown`: no key of this version of the store. */
export type KeyPlace =
  | { kind: 'journal' | 'inbox'; scope: string; callId: string }
  | { kind: 'session' | 'out' | 'state' | 'marks' | 'history' | 'once' | 'ended'; scope: string }
  | { kind: 'map' | 'map-values' | 'map-marks'; map: string }
  /** Of a part with a name of its own. */
  | { kind: 'named'; name: string }
  | { kind: 'held'; node: string }
  | { kind: 'nodes' | 'about' | 'quota' | 'sessions' | 'due' | 'principal' | 'unknown' }

const MAP_PARTS = { '': 'map', ':values': 'map-values', ':marks': 'map-marks' } as const

function placeInScope(scope: string, rest: string): KeyPlace {
  if (rest === '') return { kind: 'session', scope }
  const [, part = '', detail] = /^:(\w+)(?::(.*))?$/s.exec(rest) ?? []
  if (part === 'call' && detail !== undefined) {
    return detail.endsWith(':in')
      ? { kind: 'inbox', scope, callId: detail.slice(0, -':in'.length) }
      : { kind: 'journal', scope, callId: detail }
  }
  if (detail === undefined && isCorePart(part)) return { kind: part, scope }
  return part === 'once' || part === 'ended' ? { kind: part, scope } : { kind: 'unknown' }
}

const isCorePart = (part: string) =>
  part === 'out' || part === 'state' || part === 'marks' || part === 'history'

export function untag(tagged: string) {
  return tagged.startsWith('~') ? Buffer.from(tagged.slice(1), 'base64url').toString() : tagged
}

/** Scopes come from the wire: one with a brace must not choose the slot. No plain scope begins with `~`. */
function tag(scope: string) {
  return /^[\w.:-]+$/.test(scope) ? scope : `~${Buffer.from(scope).toString('base64url')}`
}
