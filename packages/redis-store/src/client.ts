import { Connection } from './connection.js'
import { Deadline } from './deadline.js'
import { storeError } from './errors.js'
import type { RedisLike } from './redis-like.js'
import type { Script } from './scripts.generated.js'

/** Runs scripts on the application's client: at once or not at all, and never longer than the deadline. */
export class Client {
  readonly #redis: RedisLike
  readonly #connection: Connection
  readonly #deadlineMs: number

  constructor(redis: RedisLike, deadlineMs: number) {
    this.#redis = redis
    this.#connection = Connection.of(redis)
    this.#deadlineMs = deadlineMs
  }

  deadline() {
    return new Deadline(this.#deadlineMs)
  }

  /** Throws unless commands can be sent now. */
  async ready(deadline: Deadline) {
    await this.#connection.ready(deadline)
  }

  async run(script: Script, keys: string[], args: (string | number)[], deadline = this.deadline()) {
    const connection = this.#connection
    await connection.permit(deadline)
    const { breaks } = connection
    const sentAt = performance.now()
    try {
      return await deadline.within(
        connection.whileUnbroken(this.#evaluate(script, [...keys, ...args], deadline)),
      )
    } catch (error) {
      connection.failed(error, sentAt)
      throw storeError(error, breaks !== connection.breaks)
    }
  }

  async #evaluate({ sha, keys, lua }: Script, keysAndArgs: (string | number)[], deadline: Deadline) {
    try {
      return await this.#redis.evalsha(sha, keys, ...keysAndArgs)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT') || deadline.passed) throw error
      return await this.#redis.eval(lua, keys, ...keysAndArgs)
    } finally {
      this.#connection.settled()
    }
  }
}
