import type { Store, StoredSession } from '../store/store.js'
import type { Secret } from './keys.js'
import { LeastUsed } from './least-used.js'
import { secretOf } from './sealed-text.js'
import type { Secrets } from './secrets.js'

const MOST_SCOPES = 16_384

/**
 * Whose each scope is, and so with which secret its records are sealed. What never changes is asked once. Invariant: as a scope becomes known here, so does
 * the secret that its principal had when the scope was made, if a record of it tells; else one that is 5 s old at most.
 */
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

  /** Of a scope that may be made by what somebody writes. */
  async secretOfNew(principal: string | undefined): Promise<Secret | undefined> {
    return principal === undefined ? undefined : this.#secrets.of(principal, { isNew: true })
  }

  /** Its secrets were brought. */
  learnFrom(scope: string, session: StoredSession) {
    if (session.principal === undefined || tellsSecret(session)) this.learn(scope, session.principal)
  }

  learn(scope: string, principal: string | undefined) {
    if (!this.#known.get(scope)) this.#known.set(scope, Promise.resolve(principal))
  }

  #ask(scope: string): Promise<string | undefined> {
    const read = async () => {
      const session = await this.#store.readSession(scope)
      // It may be made yet, by somebody.
      if (!session) this.#known.delete(scope, asked)
      else if (tellsSecret(session)) await this.#secrets.bringFor(session.state)
      else await this.secretOfNew(session.principal)
      return session?.principal
    }
    const asked = read()
    this.#known.set(scope, asked)
    asked.catch(() => this.#known.delete(scope, asked))
    return asked
  }
}

const tellsSecret = ({ state }: StoredSession) => state.some(({ data }) => secretOf(data) !== undefined)
