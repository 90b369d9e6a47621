import type { ProxySession } from '../call/record.js'
import type { ContextStore } from '../store/context-store.js'
import { NO_SESSION } from './channel.js'

/**
 * The one session of the upstream that all nodes use, the version of the session's state that it has seen, and the
 * newest event of its standalone stream that was heard. `at`: where the upstream was when the session of it began.
 */
export type Linked = { session: ProxySession; seen: number; heard?: string; at?: string | undefined }

const KEY = 'mcp-durable:upstream'

/**
 * Which session of the upstream belongs to a session of ours, for every node to find. Changed by compare-and-set: of
 * several nodes that begin a session at once, one wins, and the others use that.
 */
export class Link {
  readonly #store: ContextStore
  readonly #scope: string
  readonly #at: string | undefined
  #hearing: { session: ProxySession; event: string } | undefined

  constructor(store: ContextStore, scope: string, at: string | undefined) {
    this.#store = store
    this.#scope = scope
    this.#at = at
  }

  async read(): Promise<Linked | undefined> {
    return (await this.#read()).linked
  }

  /** The upstream's session has seen all state up to a version. Resolves to the session to use from now on. */
  saw(session: ProxySession, seen: number): Promise<ProxySession> {
    return this.#change((linked) => {
      if (!linked) return { session, seen, at: this.#at }
      return linked.session.id === session.id && linked.seen < seen ? { ...linked, seen } : undefined
    })
  }

  /** The newest event of the session's standalone stream that was heard, on whichever node. */
  async heard(session: ProxySession): Promise<string | undefined> {
    const linked = await this.read()
    return linked && linked.session.id === session.id ? linked.heard : undefined
  }

  /**
   * An event of the standalone stream was heard: whoever opens it next goes on behind it. One write at a time, and only
   * the newest counts; if one gets lost, the next reader hears some messages again.
   */
  hear(session: ProxySession, event: string) {
    const isWriting = this.#hearing !== undefined
    this.#hearing = { session, event }
    if (!isWriting) void this.#writeHeard().catch(() => (this.#hearing = undefined))
  }

  async #writeHeard() {
    for (let next = this.#hearing; next;) {
      const { session, event } = next
      await this.#change((linked) =>
        linked && linked.session.id === session.id ? { ...linked, heard: event } : undefined,
      )
      next = this.#hearing === next ? undefined : this.#hearing
    }
    this.#hearing = undefined
  }

  /** A new session in place of one that the upstream has lost. Resolves to the session to use from now on. */
  replace(stale: ProxySession, fresh: ProxySession, seen: number): Promise<ProxySession> {
    return this.#change((linked) =>
      linked && linked.session.id !== stale.id ? undefined : { session: fresh, seen, at: this.#at },
    )
  }

  async #change(next: (linked: Linked | undefined) => Linked | undefined): Promise<ProxySession> {
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
