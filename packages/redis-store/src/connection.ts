import type { Deadline } from './deadline.js'
import { DeadlineError, unavailable } from './errors.js'
import type { RedisLike } from './redis-like.js'

/** Statuses of a client that is on its way to its first connection. */
const STARTING = new Set(['wait', 'connecting', 'connect'])
/** How often a server that answers nothing is asked again. */
const PROBE_MS = 1000
/** How long a broken connection may take to come back before what was sent on it is given up. */
const RECONNECT_MS = 250

/** A command that was sent and has not been answered. */
type Flight = { deadline: Deadline; fail: (error: Error) => void; sentAt: number }
const nobody = () => undefined

const connections = new WeakMap<RedisLike, Connection>()

/** What is known of an application's client; shared by all stores on it, so that many stores add few listeners. */
export class Connection {
  readonly #redis: RedisLike
  readonly #inFlight = new Set<Flight>()
  readonly #waiting = new Set<() => void>()
  #wasReady: boolean
  #stalled = false
  #gathering = false
  /** Nothing else was on its way when the last command was sent. */
  #wasAlone = false
  #alarm: NodeJS.Timeout | undefined
  #alarmAt = Number.POSITIVE_INFINITY
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

  get isReady() {
    return this.#redis.status === 'ready'
  }

  /** Throws if the server is connected but answers nothing: the client's queue would grow until it is found dead. */
  permit() {
    if (!this.#stalled) return
    const now = performance.now()
    if (now - this.#probedAt < PROBE_MS) throw unavailable('not answered')
    this.#probedAt = now
  }

  /**
   * A command is sent now. `fail` is called if it has not landed at its deadline, or once the connection has broken and
   * does not come back at once: the client keeps the command and sends it again when it can, so its outcome is unknown.
   */
  takeOff(deadline: Deadline, fail: (error: Error) => void): Flight {
    const flight = { deadline, fail, sentAt: performance.now() }
    this.#inFlight.add(flight)
    this.#wakeBy(deadline.at)
    const isAlone = this.#inFlight.size === 1
    if (!isAlone || !this.#wasAlone) this.#gather()
    this.#wasAlone = isAlone
    return flight
  }

  landed(flight: Flight) {
    this.#inFlight.delete(flight)
    // The Set may leave a table behind in which it still is, and so would be all that waits for the command.
    flight.fail = nobody
    this.#settledAt = performance.now()
    this.#stalled = false
  }

  /**
   * What is sent in one turn of the event loop goes out in one write. Where nothing else is on its way, that need not
   * wait for the turn to end, but only for all who go on together now. One that is alone, and follows one that was, is not
   * held back at all; the first of many must be, or it would be ahead of them ever after.
   */
  #gather() {
    if (this.#gathering) return
    this.#gathering = true
    const { stream } = this.#redis
    stream?.cork()
    const send = () => {
      this.#gathering = false
      stream?.uncork()
    }
    if (this.#inFlight.size > 1) setImmediate(send)
    else process.nextTick(send)
  }

  /** One timer for all commands: nearly all of them land long before. */
  #wakeBy(at: number) {
    if (at >= this.#alarmAt) return
    clearTimeout(this.#alarm)
    this.#alarmAt = at
    // After a turn that took long, the answer may have arrived and not been read yet: let it be read first.
    this.#alarm = setTimeout(() => setImmediate(() => this.#expire()), Math.max(0, at - performance.now()))
    this.#alarm.unref()
  }

  #expire() {
    this.#alarmAt = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const flight of this.#inFlight) {
      if (flight.deadline.passed) this.#giveUp(flight)
      else next = Math.min(next, flight.deadline.at)
    }
    if (next < Number.POSITIVE_INFINITY) this.#wakeBy(next)
  }

  #giveUp(flight: Flight) {
    this.#inFlight.delete(flight)
    if (this.#settledAt < flight.sentAt) {
      this.#stalled = true
      this.#probedAt = performance.now()
    }
    flight.fail(flight.deadline.error())
  }

  #giveUpInFlight() {
    // A Cluster breaks one node at a time, and says so another way.
    if (this.#redis.isCluster || this.#inFlight.size === 0) return
    const broken = [...this.#inFlight]
    setTimeout(() => {
      if (this.#redis.status === 'ready') return
      for (const flight of broken)
        if (this.#inFlight.delete(flight)) flight.fail(new DeadlineError('the connection broke'))
    }, RECONNECT_MS).unref()
  }

  /** Throws unless there is a connection; does not ask whether the server answers on it. */
  async ready(deadline: Deadline) {
    if (this.#redis.status !== 'ready') await this.#firstConnection(deadline)
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
