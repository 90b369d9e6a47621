import type { Watcher } from '../store/watcher.js'
import type { SessionServer } from './session-server.js'

/** Topic on which a cancellation reaches requests that are not journaled; its value begins their request keys. */
export const CANCELLED = 'cancelled'

/** Hears for a server object what other nodes say of its session. */
export class Listening {
  /** Whose requests are cancelled, once it is there. */
  server: SessionServer | undefined
  /** The session was deleted. */
  gone = false
  /** Resolves when it hears everything from now on; rejects if the store is away now. */
  readonly active: Promise<void>
  readonly end: () => void

  constructor(watcher: Watcher, sessionId: string, onDeleted: () => void) {
    const { active, end } = watcher.watch(sessionId, CANCELLED, ({ topic, value }) => {
      if (topic === CANCELLED) this.server?.cancelDeferred(value)
      if (topic !== 'deleted') return
      this.gone = true
      onDeleted()
    })
    this.active = active
    this.end = end
    // What fails here, fails where it is waited for.
    active.catch(() => undefined)
  }
}
