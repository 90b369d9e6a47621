import type { ContextStore } from '../context/context-store.js'
import { NO_SESSION } from './channel.js'
import type { InnerSession } from './channel.js'

/**
 * The one session of the upstream that all nodes use, the version of the session's state that it has seen, and the
 * newest event of its standalone stream that was heard.
 */
export type Linked = { session: InnerSession; seen: number; heard?: string }

const KEY = 'mcp-durable:upstream'

/**
 * Which session of the upstream belongs to a session of ours, for every node to find. Changed by compare-and-set: of
 * several nodes that begin a session at once, one wins, and the others use that.
 */
export class Link {
  readonly #store: ContextStore
  readonly #scope: string

  constructor(store: ContextStore, scope: string) {
    this.#store = store
    this.#scope = scope
  }

  async read(): Promise<Linked | undefined> {
    return (await this.#read()).linked
  }

  /** The upstream's session has seen all state up to a version. Resolves to the session to use from now on. */
  saw(session: InnerSession, seen: number): Promise<InnerSession> {
    return this.#change((linked) => {
      if (!linked) return { session, seen }
      return linked.session.id === session.id && linked.seen < seen ? { ...linked, seen } : undefined
    })
  }

  /** An event of the standalone stream was heard: whoever opens it next goes on behind it. */
  async heard(session: InnerSession, event: string) {
    await this.#change((linked) =>
      linked && linked.session.id === session.id ? { ...linked, heard: event } : undefined,
    )
  }

  /** A new session in place of one that the upstream has lost. Resolves to the session to use from now on. */
  replace(stale: InnerSession, fresh: InnerSession, seen: number): Promise<InnerSession> {
    return this.#change((linked) =>
      linked && linked.session.id !== stale.id ? undefined : { session: fresh, seen },
    )
  }

  async #change(next: (linked: Linked | undefined) => Linked | undefined): Promise<InnerSession> {
    for (;;) {
      const { linked, version } = await this.#read()
      const changed = next(linked)
      if (!changed) return linked?.session ?? NO_SESSION
      const written = await this.#store.writeValue(this.#scope, KEY, version, JSON.stringify(changed))
      // A session that is gone needs no link.
      if (written !== 'conflict') return changed.session
    }
  }

  async #read(): Promise<{ linked: Linked | undefined; version: number }> {
    const stored = await this.#store.readValue(this.#scope, KEY)
    if (!stored) return { linked: undefined, version: 0 }
    return { linked: JSON.parse(stored.data) as Linked, version: stored.version }
  }
}
