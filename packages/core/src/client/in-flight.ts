import type { Outgoing } from './outgoing.js'

/**
 * The requests on their way through one `fetch`. A request that its caller has cancelled is not sent again: on the
 * server the cancelled call has ended, so the repetition would be a new call.
 */
export class InFlight {
  readonly #requests = new Map<string, Set<AbortController>>()

  /** Looks at what is about to be sent. Returns the signal that says that it was cancelled. */
  enter(outgoing: Outgoing, sessionId: string): { cancelled: AbortSignal; leave: () => void } {
    const cancel = new AbortController()
    if (outgoing.kind !== 'post') return { cancelled: cancel.signal, leave: () => undefined }
    for (const id of outgoing.cancels) {
      for (const cancelled of this.#requests.get(keyOf(sessionId, id)) ?? []) cancelled.abort()
    }
    const keys = outgoing.requests.map(({ id }) => keyOf(sessionId, id))
    for (const key of keys) this.#requests.set(key, (this.#requests.get(key) ?? new Set()).add(cancel))
    return { cancelled: cancel.signal, leave: () => this.#leave(keys, cancel) }
  }

  #leave(keys: readonly string[], cancel: AbortController) {
    for (const key of keys) {
      const here = this.#requests.get(key)
      here?.delete(cancel)
      if (here?.size === 0) this.#requests.delete(key)
    }
  }
}

const keyOf = (sessionId: string, id: string | number) => `${sessionId}\n${JSON.stringify(id)}`
