import type { Deadline } from './deadline.js'
import { refusedForGood } from './errors.js'
import type { RedisLike } from './redis-like.js'

/** No server may be set to take less than that in one value. */
const ALWAYS_TAKEN = 1024 * 1024
const DEFAULT_BYTES = 512 * 1024 * 1024
const SETTING = 'proto-max-bulk-len'

/**
 * The largest value that the server takes. One that is larger breaks the connection, and with it what others have on their
 * way, so it is never sent. Asked for when there is a value that may be too large, and not before.
 */
export class LargestValue {
  readonly #redis: RedisLike
  #bytes: Promise<number> | undefined

  constructor(redis: RedisLike) {
    this.#redis = redis
  }

  /** Undefined if there is nothing to wait for; rejects with a `StoreError`. */
  guard(values: readonly (string | number)[], deadline: Deadline): Promise<void> | undefined {
    let largest = 0
    for (const value of values) {
      if (typeof value === 'string' && value.length * 3 > ALWAYS_TAKEN)
        largest = Math.max(largest, Buffer.byteLength(value))
    }
    return largest > ALWAYS_TAKEN ? this.#compare(largest, deadline) : undefined
  }

  async #compare(bytes: number, deadline: Deadline) {
    const most = await this.#most(deadline)
    if (bytes > most) throw refusedForGood(`a value of ${bytes} bytes, where it takes ${most} (${SETTING})`)
  }

  async #most(deadline: Deadline): Promise<number> {
    this.#bytes ??= this.#ask()
    try {
      return await deadline.within(this.#bytes)
    } catch {
      // Asked again the next time: the server was away, or does not tell.
      this.#bytes = undefined
      return DEFAULT_BYTES
    }
  }

  async #ask(): Promise<number> {
    const reply = (await this.#redis.config?.('GET', SETTING)) as [string, string] | undefined
    return Number(reply?.[1]) || DEFAULT_BYTES
  }
}
