const MOST = 64

type Followed<Frame> = {
  readonly isUsed: boolean
  listen(listener: (frame: Frame) => void): () => void
  close(): void
}

/** What browsers have open, each followed once. */
export class OpenFeeds<Place, Frame> {
  readonly #open: (place: Place) => Followed<Frame>
  readonly #feeds = new Map<string, Followed<Frame>>()

  constructor(open: (place: Place) => Followed<Frame>) {
    this.#open = open
  }

  /** `undefined`: too many are open. */
  listen(place: Place, listener: (frame: Frame) => void): (() => void) | undefined {
    const name = JSON.stringify(place)
    if (!this.#feeds.has(name) && this.#feeds.size >= MOST) return undefined
    const feed = this.#feeds.get(name) ?? this.#open(place)
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
