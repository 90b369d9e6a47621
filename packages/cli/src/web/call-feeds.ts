import type { CallPlace } from '@mcp-durable/core/inspect'
import { CallFeed } from './call-feed.js'
import type { FeedServices } from './call-feed.js'
import type { CallFrame } from './wire.js'

const MOST = 64

/** The calls that browsers have open, each followed once. */
export class CallFeeds {
  readonly #services: FeedServices
  readonly #feeds = new Map<string, CallFeed>()

  constructor(services: FeedServices) {
    this.#services = services
  }

  /** `undefined`: too many are open. */
  listen(place: CallPlace, listener: (frame: CallFrame) => void): (() => void) | undefined {
    const name = `${place.scope} ${place.callId}`
    if (!this.#feeds.has(name) && this.#feeds.size >= MOST) return undefined
    const feed = this.#feeds.get(name) ?? new CallFeed(this.#services, place)
    this.#feeds.set(name, feed)
    const end = feed.listen(listener)
    return () => {
      end()
      if (feed.isUsed || this.#feeds.get(name) !== feed) return
      feed.close()
      this.#feeds.delete(name)
    }
  }
}
