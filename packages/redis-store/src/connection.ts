import type { Deadline } from './deadline.js'
import { DeadlineError, unavailable } from './errors.js'
import type { RedisLike } from './redis-like.js'

/** Statuses of a client that is on its way to its first connection. */
const STARTING = new Set(['wait', 'connecting', 'connect'])
/** How often a server that answers nothing is asked again. */
const PROBE_MS = 1000
/** How long a broken connection may take to come back before what was sent on it is given up. */
const RECONNECT_MS = 250

const connections = new WeakMap<RedisLike, Connection>()

/** What is known of an application's client; shared by all stores on it, so that many stores add few listeners. */
export class Connection {
  readonly #redis: RedisLike
  readonly #inFlight = new Set<(error: Error) => void>()
  readonly #waiting = new Set<() => void>()
  #wasReady: boolean
  #stalled = false
  #settledAt = 0
  #probedAt = 0
  /** How often a connection broke. A command that saw it change may have been sent twice. */
  breaks = 0

  static of(redis: RedisLike): Connection {
    let connection = connections.get(redis)
    if (!connection) connections.set(redis, (connection = new Connection(redis)))
    return connection
  }

  private constructor(redis: RedisLike) {
    this.#redis = redis
    this.#wasReady = redis.status === 'ready'
    redis.on('ready', () => {
      this.#wasReady = true
      this.#wake()
    })
    redis.on('close', () => {
      this.breaks++
      this.#wake()
      this.#giveUpInFlight()
    })
    // A Cluster stays ready while it loses one of its nodes.
    if (redis.isCluster) redis.on('-node', () => void this.breaks++)
  }

  /**
   * Throws unless a command can be sent now. A client that is not connected would queue it; so would one whose
   * server is connected but answers nothing, and its queue would grow until the server is found dead.
   */
  async permit(deadline: Deadline) {
    await this.ready(deadline)
    const now = performance.now()
    if (this.#stalled && now - this.#probedAt < PROBE_MS) throw unavailable('not answered')
    this.#probedAt = now
  }

  /**
   * Settles as `work` does, or rejects once the connection has broken and does not come back at once. The client
   * keeps the command and sends it again when it can, so its outcome is unknown until then.
   */
  whileUnbroken<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#inFlight.add(reject)
      work.then(resolve, reject).finally(() => this.#inFlight.delete(reject))
    })
  }

  #giveUpInFlight() {
    // A Cluster breaks one node at a time, and says so another way.
    if (this.#redis.isCluster || this.#inFlight.size === 0) return
    const broken = [...this.#inFlight]
    setTimeout(() => {
      if (this.#redis.status === 'ready') return
      for (const reject of broken) reject(new DeadlineError('the connection broke'))
    }, RECONNECT_MS).unref()
  }

  /** Throws unless there is a connection; does not ask whether the server answers on it. */
  async ready(deadline: Deadline) {
    if (this.#redis.status !== 'ready') await this.#firstConnection(deadline)
  }

  settled() {
    this.#settledAt = performance.now()
    this.#stalled = false
  }

  failed(error: unknown, sentAt: number) {
    if (error instanceof DeadlineError && this.#settledAt < sentAt) this.#stalled = true
  }

  /** An application may use the store before its client has connected for the first time; after that, nobody waits. */
  async #firstConnection(deadline: Deadline) {
    if (this.#wasReady || !STARTING.has(this.#redis.status)) throw unavailable(this.#redis.status)
    if (this.#redis.status === 'wait') this.#redis.connect().catch(() => undefined)
    let changed: () => void = () => undefined
    const change = new Promise<void>((resolve) => this.#waiting.add((changed = resolve)))
    try {
      await deadline.within(change)
    } catch (error) {
      throw unavailable(this.#redis.status, error)
    } finally {
      this.#waiting.delete(changed)
    }
    if (this.#redis.status !== 'ready') throw unavailable(this.#redis.status)
  }

  #wake() {
    for (const changed of this.#waiting) changed()
  }
}
