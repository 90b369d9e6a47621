import type { Admission, Appended, Entry, Keeping, LogName, StoreOptions } from '@mcp-durable/core/store'
import type { Engine } from './engine.js'
import { keep } from './keeping.js'
import type { Statements } from './statements.js'

/** How long a repeated nonce is recognised. */
export const NONCE_MS = 60_000

/** What a scope is made for. A session is listed; the others belong to none. `ended`: of a call that has ended. */
export const KIND = { session: 0, call: 1, ended: 2, values: 3, log: 4 } as const
export type Kind = (typeof KIND)[keyof typeof KIND]

export type Scope = {
  id: number
  kind: Kind
  principal: string | null
  server: string | null
  protocol_version: string
  version: number
  delivered: string
  value_version: number
  value_bytes: number
  ttl_ms: number | null
  expires_at: number
}

export type NewScopeRow = {
  kind: Kind
  principal?: string | undefined
  server?: string | undefined
  protocolVersion?: string
  version?: number
  valueVersion?: number
  ttlMs: number
  /** It lives for `ttlMs` after each use. */
  isUsed?: boolean
}

const SCOPE = `SELECT id, kind, principal, server, protocol_version, version, delivered, value_version, value_bytes, ttl_ms,
  expires_at FROM scopes WHERE name = ? AND scope = ?`
const BEGIN = `INSERT INTO scopes (name, scope, kind, principal, server, protocol_version, version, delivered, value_version,
  ttl_ms, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, '0-0', ?, ?, ?, ?) RETURNING id`

/** What the parts of one store work on: the rows of its name, and what it keeps of what it writes. */
export class Space {
  readonly engine: Engine
  /** In the tables: one that is given is never the same as none. */
  readonly name: string
  readonly #given: string | undefined
  readonly #keeping: Keeping | undefined

  constructor(engine: Engine, { name, keeping }: StoreOptions) {
    this.engine = engine
    this.name = name === undefined ? '' : `=${name}`
    this.#given = name
    this.#keeping = keeping
  }

  get sql(): Statements {
    return this.engine.sql
  }

  get given() {
    return this.#given
  }

  read<T>(work: (now: number) => T): Promise<T> {
    return this.engine.read(work)
  }

  write<T>(work: (now: number) => T): Promise<T> {
    return this.engine.write(work)
  }

  live(scope: string, now: number): Scope | undefined {
    const found = this.sql.get<Scope>(SCOPE, this.name, scope)
    return found && found.expires_at > now ? found : undefined
  }

  /** Only where there is no live one. */
  begin(scope: string, fresh: NewScopeRow, now: number): Scope {
    const {
      kind,
      principal,
      server,
      protocolVersion = '',
      version = 0,
      valueVersion = 0,
      ttlMs,
      isUsed,
    } = fresh
    this.sql.run('UPDATE scopes SET scope = NULL WHERE name = ? AND scope = ?', this.name, scope)
    const expires_at = Math.ceil(now + ttlMs)
    const ttl_ms = isUsed ? Math.ceil(ttlMs) : null
    const given = [kind, principal, server, protocolVersion, version, valueVersion, ttl_ms, now, expires_at]
    const { id } = this.sql.get<{ id: number }>(BEGIN, this.name, scope, ...given)!
    this.engine.expires(expires_at)
    return {
      id,
      kind,
      principal: principal ?? null,
      server: server ?? null,
      protocol_version: protocolVersion,
      version,
      delivered: '0-0',
      value_version: valueVersion,
      value_bytes: 0,
      ttl_ms,
      expires_at,
    }
  }

  expireAt(scope: Scope, at: number) {
    scope.expires_at = Math.ceil(at)
    this.sql.run('UPDATE scopes SET expires_at = ? WHERE id = ?', scope.expires_at, scope.id)
    this.engine.expires(scope.expires_at)
  }

  /** Slides the expiry, when that is due. That of a scope without a session comes no nearer: its call may sleep for longer. */
  keepFor(scope: Scope, ttlMs: number, now: number) {
    const left = scope.expires_at - now
    if (left > ttlMs - ttlMs / 20 && (left <= ttlMs || scope.kind !== KIND.session)) return
    this.expireAt(scope, now + ttlMs)
  }

  /** Nothing of it is found any more; its rows go later. */
  delete(scope: Scope, name: string) {
    this.sql.run('UPDATE scopes SET scope = NULL, expires_at = 0 WHERE id = ?', scope.id)
    this.engine.expires(0)
    this.wake(name, 'deleted', '')
  }

  wake(scope: string, topic: string, value: string, appended?: Appended) {
    this.engine.wake({ name: this.#given, scope, topic, value, ...(appended && { appended }) })
  }

  /** What was just written belongs to the history as well, where one is kept. */
  keep(
    scope: string,
    principal: string | null,
    log: LogName | 'state',
    entries: readonly Entry[],
    now: number,
  ) {
    if (this.#keeping) keep(this, { scope, principal, log, entries }, this.#keeping, now)
  }

  get isKept() {
    return this.#keeping !== undefined
  }
}

export const admission = ({ protocol_version, version, delivered, value_version }: Scope): Admission => ({
  protocolVersion: protocol_version,
  version,
  delivered,
  values: value_version,
})

export const isOf = ({ server }: Scope, asked: string | undefined) =>
  server === null || asked === undefined || server === asked

export const isWhose = (scope: Scope, principal: string | undefined) =>
  scope.principal === (principal ?? null)
