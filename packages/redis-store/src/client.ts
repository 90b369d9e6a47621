import { Connection } from './connection.js'
import { Deadline } from './deadline.js'
import { storeError } from './errors.js'
import type { RedisLike } from './redis-like.js'
import type { Script } from './scripts.generated.js'

type KeysAndArgs = (string | number)[]

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

  async run(script: Script, keys: string[], args: KeysAndArgs, deadline = this.deadline()): Promise<unknown> {
    if (!this.#connection.isReady) await this.#connection.ready(deadline)
    this.#connection.permit()
    return this.#send(() => this.#evaluate(script, [...keys, ...args], deadline), deadline)
  }

  /** Adds an entry to a stream that exists; `null` if it does not, `refused` if its ids are beyond this one. */
  async append(key: string, id: string, fields: (string | number)[]): Promise<unknown> {
    const deadline = this.deadline()
    if (!this.#connection.isReady) await this.#connection.ready(deadline)
    this.#connection.permit()
    return this.#send(() => this.#xadd(key, id, fields), deadline)
  }

  async #xadd(key: string, id: string, fields: (string | number)[]) {
    try {
      return await this.#redis.xadd(key, 'NOMKSTREAM', id, ...fields)
    } catch (error) {
      if (error instanceof Error && error.message.includes('equal or smaller')) return 'refused'
      throw error
    }
  }

  #send(command: () => Promise<unknown>, deadline: Deadline): Promise<unknown> {
    const connection = this.#connection
    const { breaks } = connection
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => reject(storeError(error, breaks !== connection.breaks))
      const flight = connection.takeOff(deadline, fail)
      const succeed = (reply: unknown) => {
        connection.landed(flight)
        resolve(reply)
      }
      command().then(succeed, (error: unknown) => {
        connection.landed(flight)
        fail(error)
      })
    })
  }

  #evaluate({ sha, keys, lua }: Script, keysAndArgs: KeysAndArgs, deadline: Deadline): Promise<unknown> {
    return this.#redis.evalsha(sha, keys, ...keysAndArgs).catch((error: unknown) => {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT') || deadline.passed) throw error
      return this.#redis.eval(lua, keys, ...keysAndArgs)
    })
  }
}
