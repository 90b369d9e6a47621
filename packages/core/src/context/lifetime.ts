import { setMaxListeners } from 'node:events'
import { messageOf } from '../errors.js'
import { LazyAbort } from '../lazy-abort.js'
import { CallStoppedError } from './errors.js'

/** How long a context may be used: until its call is stopped from outside, or its handler has ended. Its reason is a `CallStoppedError`. */
export class Lifetime extends LazyAbort {
  constructor(call: LazyAbort) {
    super()
    call.listen(() => this.#stop(messageOf(call.reason), call.reason))
  }

  override get signal(): AbortSignal {
    const signal = super.signal
    // A handler may have hundreds of things under way that listen.
    setMaxListeners(0, signal)
    return signal
  }

  /** Its handler has ended, and nothing stopped it before. */
  ended = false

  /** The handler has ended; what it left running is told to stop. */
  end() {
    this.ended = !this.aborted
    this.#stop('its handler has ended.')
  }

  #stop(reason: string, cause?: unknown) {
    if (!this.aborted) this.abort(new CallStoppedError(reason, cause ? { cause } : {}))
  }
}
