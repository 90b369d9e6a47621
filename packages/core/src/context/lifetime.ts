import { setMaxListeners } from 'node:events'
import { CallStoppedError } from './errors.js'

/** How long a context may be used: until its call is stopped from outside, or its handler has ended. */
export class Lifetime {
  /** Its reason is a `CallStoppedError`. */
  readonly signal: AbortSignal
  readonly #controller = new AbortController()

  constructor(call: AbortSignal) {
    this.signal = this.#controller.signal
    // Every step that is under way listens, and a handler may have hundreds of them.
    setMaxListeners(0, this.signal)
    const stop = () => this.#stop(reasonOf(call), call.reason)
    if (call.aborted) stop()
    else call.addEventListener('abort', stop, { once: true, signal: this.signal })
  }

  /** The handler has ended; what it left running is told to stop. */
  end() {
    this.#stop('its handler has ended.')
  }

  #stop(reason: string, cause?: unknown) {
    if (!this.signal.aborted) this.#controller.abort(new CallStoppedError(reason, cause ? { cause } : {}))
  }
}

function reasonOf({ reason }: AbortSignal) {
  return reason instanceof Error ? reason.message : String(reason)
}
