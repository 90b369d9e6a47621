import { hash } from 'node:crypto'
import type { CallPlace } from '@mcp-durable/core/inspect'
import type { CallName } from './wire.js'
import type { Privacy } from '../show/privacy.js'

const MOST = 50_000
const CHARS = 22

/** A digest names a thing to a browser that is not to know its id. */
export const digestOf = (...parts: readonly string[]) =>
  hash('sha256', JSON.stringify(parts), 'base64url').slice(0, CHARS)

/** The calls and sessions that a browser may ask for: those that it was told of. The oldest are forgotten. */
export class Handles {
  readonly #privacy: Privacy
  readonly #places = new Map<string, CallPlace>()
  readonly #scopes = new Map<string, string>()

  constructor(privacy: Privacy) {
    this.#privacy = privacy
  }

  name({ scope, callId }: CallPlace): CallName {
    const call = digestOf(scope, callId)
    keep(this.#places, call, { scope, callId })
    return { call, id: this.#privacy.id(callId) }
  }

  session(scope: string): string {
    const session = digestOf(scope)
    keep(this.#scopes, session, scope)
    return session
  }

  scope(session: string): string | undefined {
    return this.#scopes.get(session)
  }

  place(call: string): CallPlace | undefined {
    return this.#places.get(call)
  }
}

function keep<T>(known: Map<string, T>, name: string, value: T) {
  known.delete(name)
  known.set(name, value)
  const [oldest] = known.keys()
  if (known.size > MOST && oldest !== undefined) known.delete(oldest)
}
