import { createHash } from 'node:crypto'
import type { LogName } from '@mcp-durable/core'

/**
 * Names of keys. The hash tag is the scope, so everything of one session is in one slot of a Cluster,
 * and one script may touch all of it. Scripts derive the keys of other calls from the session's key.
 */
export class Keys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  session(scope: string) {
    return `${this.#prefix}:{${tag(scope)}}`
  }

  log(scope: string, log: LogName) {
    return `${this.session(scope)}:${log}`
  }

  /** Session, standalone log, open calls: what expires together. */
  core(scope: string) {
    const session = this.session(scope)
    return [session, `${session}:out`, `${session}:open`]
  }

  once(scope: string, nonce: string) {
    return `${this.session(scope)}:once:${nonce}`
  }

  /** Session state, which expires with the session. */
  state(scope: string) {
    return `${this.session(scope)}:state`
  }

  /** The keys of a map, its values, and the marks of changes it has seen. */
  map(name: string) {
    const keys = `${this.#prefix}:map:{${tag(name)}}`
    return [keys, `${keys}:values`, `${keys}:marks`]
  }

  nodes() {
    return `${this.#prefix}:{nodes}`
  }

  /** The scopes that a node holds. */
  heldBy(node: string) {
    return `${this.nodes()}:${tag(node)}`
  }

  sessions() {
    return `${this.#prefix}:sessions`
  }

  /** Hashed: a principal may be long, and is nobody's business who looks at key names. */
  principal(principal: string) {
    return `${this.#prefix}:principal:${createHash('sha256').update(principal).digest('base64url')}`
  }
}

/** Scopes come from the wire: one with a brace must not choose the slot. No plain scope begins with `~`. */
function tag(scope: string) {
  return /^[\w.:-]+$/.test(scope) ? scope : `~${Buffer.from(scope).toString('base64url')}`
}
