import type { Channel } from './channel.js'

const EVERY_MS = 500
/** Scopes that are looked at in one round; with more of them, each is looked at in its turn. */
const MOST_AT_ONCE = 100

/** What was said in a scope after an id; `undefined`: nothing is wanted yet but the last id. */
export type ReadNews = (key: string, after: string | undefined) => Promise<{ last: string; news: string[] }>

/**
 * In place of subscriptions, where the server has no pub/sub: every watched scope is looked at each half second, or more
 * seldom where there are many. Its watchers hear what other nodes said, and that they should look at what they read.
 */
export class Polling {
  readonly #read: ReadNews
  readonly #scopes = new Map<string, { channel: Channel; last: string }>()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(read: ReadNews) {
    this.#read = read
  }

  /** What is said from its end on is heard. */
  async begin(key: string, channel: Channel) {
    const { last } = await this.#read(key, undefined)
    this.#scopes.set(key, { channel, last })
    this.#timer ??= this.#start()
  }

  end(key: string) {
    this.#scopes.delete(key)
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#scopes.clear()
  }

  #start() {
    return setTimeout(() => void this.#round(), EVERY_MS).unref()
  }

  async #round() {
    const round = [...this.#scopes].slice(0, MOST_AT_ONCE)
    await Promise.all(round.map(([key, scope]) => this.#look(key, scope)))
    for (const [key, scope] of round) {
      // Those that had their turn stand last.
      if (this.#scopes.delete(key)) this.#scopes.set(key, scope)
    }
    this.#timer = this.#closed || this.#scopes.size === 0 ? undefined : this.#start()
  }

  async #look(key: string, scope: { channel: Channel; last: string }) {
    try {
      const { last, news } = await this.#read(key, scope.last)
      scope.last = last
      for (const message of news) {
        const space = message.indexOf(' ')
        scope.channel.emit(message.slice(0, space), message.slice(space + 1))
      }
      scope.channel.emit('resync', '')
    } catch {
      // The store is away; what was said stands there in the next round, for a minute.
    }
  }
}
