import type { Store } from '../store/store.js'
import type { Secret } from './keys.js'
import { LeastUsed } from './least-used.js'
import type { Secrets } from './secrets.js'

const MOST_SCOPES = 16_384

/** Whose each scope is, and so with which secret its records are sealed. What never changes is asked once. */
export class Owners {
  readonly #store: Store
  readonly #secrets: Secrets
  readonly #known = new LeastUsed<Promise<string | undefined>>(MOST_SCOPES)

  constructor(store: Store, secrets: Secrets) {
    this.#store = store
    this.#secrets = secrets
  }

  /** Of what is there, or is nobody's. What is asked for one scope is answered in the same order: what is written then stays in order, too. */
  async secretFor(scope: string): Promise<Secret | undefined> {
    const principal = await (this.#known.get(scope) ?? this.#ask(scope))
    return principal === undefined ? undefined : this.#secrets.of(principal)
  }

  /** Of what somebody writes. `isNew`: the scope may be made by it. */
  async secretOf(principal: string | undefined, isNew: boolean): Promise<Secret | undefined> {
    return principal === undefined ? undefined : this.#secrets.of(principal, { isNew })
  }

  learn(scope: string, principal: string | undefined) {
    if (!this.#known.get(scope)) this.#known.set(scope, Promise.resolve(principal))
  }

  #ask(scope: string): Promise<string | undefined> {
    const read = async () => {
      const session = await this.#store.readSession(scope)
      // It may be made yet, by somebody.
      if (!session) this.#known.delete(scope, asked)
      return session?.principal
    }
    const asked = read()
    this.#known.set(scope, asked)
    asked.catch(() => this.#known.delete(scope, asked))
    return asked
  }
}
