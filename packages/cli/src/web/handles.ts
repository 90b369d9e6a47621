import { hash } from 'node:crypto'
import type { CallPlace } from '@mcp-durable/core/inspect'
import type { CallName } from './wire.js'
import type { Privacy } from '../show/privacy.js'

const MOST = 50_000
const CHARS = 22

/** A digest names a thing to a browser that is not to know its id. */
export const digestOf = (...parts: readonly string[]) =>
  hash('sha256', JSON.stringify(parts), 'base64url').slice(0, CHARS)

/** The calls that a browser may ask for: those that it was told of. The oldest are forgotten. */
export class Handles {
  readonly #privacy: Privacy
  readonly #places = new Map<string, CallPlace>()

  constructor(privacy: Privacy) {
    this.#privacy = privacy
  }

  name({ scope, callId }: CallPlace): CallName {
    const call = digestOf(scope, callId)
    this.#places.delete(call)
    this.#places.set(call, { scope, callId })
    const [oldest] = this.#places.keys()
    if (this.#places.size > MOST && oldest !== undefined) this.#places.delete(oldest)
    return { call, id: this.#privacy.id(callId) }
  }

  place(call: string): CallPlace | undefined {
    return this.#places.get(call)
  }
}
