import type { Durability, NewEntry } from '@mcp-durable/core/store'
import { Connection } from './connection.js'
import { Deadline } from './deadline.js'
import type { DurableWrites } from './durable-writes.js'
import { isRefusal, storeError } from './errors.js'
import { evaluateOn } from './evaluation.js'
import type { Evaluate } from './evaluation.js'
import { LargestValue } from './largest-value.js'
import type { RedisLike } from './redis-like.js'
import { groups } from './replies.js'
import type { Added } from './replies.js'
import { findRisks } from './scripts.generated.js'
import type { Script } from './scripts.generated.js'
import { WakeUps } from './wake-ups.js'
import type { Findings } from './wake-ups.js'

/** How long a subscription is tried before anything that wakes others is sent. */
const TRY_MS = 1000

type KeysAndArgs = (string | number)[]

/** Runs commands on the application's client: at once or not at all, and never longer than the deadline. */
export class Client {
  readonly #redis: RedisLike
  readonly #evaluate: Evaluate
  readonly #connection: Connection
  readonly #deadlineMs: number
  readonly #largest: LargestValue
  readonly #probe: string
  readonly wakeUps: WakeUps
  readonly durableWrites: DurableWrites

  #subscribe: (key: string, deadline: Deadline) => Promise<unknown> = async () => undefined

  /** `probe`: a key on which nobody listens. */
  constructor(redis: RedisLike, deadlineMs: number, probe: string, writes: DurableWrites) {
    this.#redis = redis
    this.#evaluate = evaluateOn(redis)
    this.#connection = Connection.of(redis)
    this.#deadlineMs = deadlineMs
    this.#largest = new LargestValue(redis)
    this.#probe = probe
    this.durableWrites = writes
    this.wakeUps = WakeUps.of(redis)
  }

  get isCluster() {
    return this.#redis.isCluster
  }

  deadline() {
    return new Deadline(this.#deadlineMs)
  }

  /** How to try whether the server takes a subscription, on another connection. */
  listensBy(subscribe: (key: string, deadline: Deadline) => Promise<unknown>) {
    this.#subscribe = subscribe
  }

  /** Throws unless commands can be sent now. */
  async ready(deadline: Deadline) {
    await this.#connection.ready(deadline)
  }

  run(script: Script, keys: string[], args: KeysAndArgs, deadline = this.deadline()): Promise<unknown> {
    const variant = this.wakeUps.variantOf(script)
    if (variant) return this.#run(variant, keys, args, deadline)
    return this.findWay(deadline).then(() => this.run(script, keys, args, deadline))
  }

  /** As `run`, for what must be so durable when it is acknowledged. */
  write(
    script: Script,
    keys: string[],
    args: KeysAndArgs,
    durability: Durability,
    deadline = this.deadline(),
  ): Promise<unknown> {
    if (durability === 'memory') return this.run(script, keys, args, deadline)
    const send = async () => {
      await this.#largest.guard(args, deadline)
      await this.findWay(deadline)
      return this.durableWrites.run(this.wakeUps.variantOf(script)!, keys, args, durability, deadline)
    }
    return send()
  }

  /** Asks the server how nodes can wake each other there, unless that is known. */
  async findWay(deadline: Deadline) {
    if (this.wakeUps.way) return
    await this.wakeUps.find(
      (needsPlain) => this.findOut(deadline, needsPlain),
      () => this.#subscribe(this.#probe, new Deadline(TRY_MS)),
    )
  }

  /** Asks the server for what it is. In a Cluster, any of its masters. */
  async findOut(deadline: Deadline, needsPlain = false): Promise<Findings> {
    const reply = await this.#run(findRisks, [this.#probe], [needsPlain ? 1 : ''], deadline)
    const findings = Object.fromEntries(groups((reply as unknown[]).map(String), 2)) as Findings
    this.wakeUps.found(findings)
    return findings
  }

  #run({ sha, lua }: Script, keys: string[], args: KeysAndArgs, deadline: Deadline): Promise<unknown> {
    const evaluate = () => this.#evaluate(sha, keys, args)
    return this.#send(args, evaluate, deadline, async (error) => {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT') || deadline.passed) throw error
      return this.#redis.eval(lua, keys.length, ...keys, ...args)
    })
  }

  /** Adds an entry to a stream that exists. */
  append(key: string, { id, data, after = 0 }: NewEntry): Promise<Added> {
    const add = () => this.#redis.xadd(key, 'NOMKSTREAM', id, 'd', data, 't', after)
    const added = this.#send([data], add, this.deadline(), async (error) => {
      if (!(error instanceof Error) || !isRefusal(error.message)) throw error
      return 'refused'
    })
    return added.then((reply) => (reply === 'refused' ? reply : reply === null ? 'gone' : 'appended'))
  }

  #send(
    values: KeysAndArgs,
    command: () => Promise<unknown>,
    deadline: Deadline,
    mend: Mend,
  ): Promise<unknown> {
    const guarded = this.#largest.guard(values, deadline)
    if (guarded) return guarded.then(() => this.#sendSmall(command, deadline, mend))
    return this.#sendSmall(command, deadline, mend)
  }

  #sendSmall(command: () => Promise<unknown>, deadline: Deadline, mend: Mend): Promise<unknown> {
    if (this.#connection.isReady) return this.#sendNow(command, deadline, mend)
    return this.#connection.ready(deadline).then(() => this.#sendNow(command, deadline, mend))
  }

  #sendNow(command: () => Promise<unknown>, deadline: Deadline, mend: Mend): Promise<unknown> {
    const connection = this.#connection
    const { breaks } = connection
    return new Promise((resolve, reject) => {
      connection.permit()
      const fail = (error: unknown) => reject(storeError(error, breaks !== connection.breaks))
      const flight = connection.takeOff(deadline, fail)
      const succeed = (reply: unknown) => {
        connection.landed(flight)
        resolve(reply)
      }
      const giveUp = (error: unknown) => {
        connection.landed(flight)
        fail(error)
      }
      command().then(succeed, (error: unknown) => mend(error).then(succeed, giveUp))
    })
  }
}

/** What is waited for in place of a command that has failed. */
type Mend = (error: unknown) => Promise<unknown>
