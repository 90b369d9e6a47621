import { whileStoreFails } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import type { Store } from '../store/store.js'
import type { Call } from './call.js'

/** Calls that this node runs and that are not its own any more. The wake-up of that may have been lost, and a handler that has nothing to append would run on. */
export class LostCalls {
  readonly #store: Pick<Store, 'listOpenCalls'>
  readonly #node: string
  readonly #owned: Iterable<Call>
  readonly #closed: Ending
  readonly #unlisted = new WeakSet<Call>()
  #isReconciling = false

  constructor(store: Pick<Store, 'listOpenCalls'>, node: string, owned: Iterable<Call>, closed: Ending) {
    this.#store = store
    this.#node = node
    this.#owned = owned
    this.#closed = closed
  }

  /** Abandons those that another node has taken over, or whose session is gone. Never rejects. */
  async abandon() {
    const scopes = new Map<string, Call[]>()
    for (const call of this.#owned) scopes.set(call.scope, [...(scopes.get(call.scope) ?? []), call])
    await Promise.allSettled([...scopes].map(([scope, calls]) => this.#abandonIn(scope, calls)))
  }

  /** As `abandon`, one look at a time: nobody may have heard that there was something to doubt. */
  reconcile() {
    if (this.#isReconciling) return
    this.#isReconciling = true
    void this.abandon().finally(() => (this.#isReconciling = false))
  }

  async #abandonIn(scope: string, calls: readonly Call[]) {
    const open = await whileStoreFails(() => this.#store.listOpenCalls(scope), this.#closed)
    const owners = new Map(open.map(({ callId, owner }) => [callId, owner]))
    for (const call of calls) {
      const owner = owners.get(call.id)
      if (owner !== undefined && owner !== this.#node) call.abandon('The call has moved to another node.')
      // One that is about to end may not be listed any more for a moment.
      if (owner === undefined && this.#unlisted.has(call)) call.abandon('The call is not open any more.')
      if (owner === undefined) this.#unlisted.add(call)
    }
  }
}
