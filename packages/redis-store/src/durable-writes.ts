import { notDurable, StoreError } from '@mcp-durable/core/store'
import type { Durability } from '@mcp-durable/core/store'
import { Connection } from './connection.js'
import type { Deadline } from './deadline.js'
import { storeError } from './errors.js'
import { pairs } from './replies.js'
import { writingConnection } from './own-connections.js'
import type { PipelineLike, RedisLike, WriterLike } from './redis-like.js'
import type { Script } from './scripts.generated.js'

type KeysAndArgs = (string | number)[]
/** A script on its way. `known`: the server may know it by its hash. */
type Write = {
  script: Script
  keys: readonly string[]
  args: KeysAndArgs
  durability: Durability
  deadline: Deadline
  isKnown: boolean
  resolve: (reply: unknown) => void
  reject: (error: unknown) => void
}
type Result = [error: Error | null, reply: unknown]
/** What one round is to wait for. */
type Waits = { disk: boolean; replicas: boolean }

/** How long what was found out about the server holds. */
const CHECKED_MS = 5000
const MARK_MS = 60_000
/** How long replicas may take to answer when it is asked how many there are. */
const ASKED_MS = 1000

/**
 * Writes that are acknowledged when they are on the server's disk, or with its replicas.
 *
 * `WAITAOF` and `WAIT` say so of what the same connection has written before, and nobody else may use it meanwhile. So these
 * writes have a connection of their own, and go in rounds: scripts, a mark, and the wait, in one write to the socket. What
 * comes while a round is under way goes together in the next. The mark is there because a script may find that it was applied
 * before: then it writes nothing, and the wait would be for nothing.
 */
export class DurableWrites {
  readonly #client: RedisLike
  readonly #replicas: number
  readonly #always: Durability
  /** By slot in a Cluster, where a round is of one server. */
  readonly #pending = new Map<string, Write[]>()
  readonly #busy = new Set<string>()
  /** Scripts that were sent whole. A server that has forgotten them says so, and until then others wait for nothing. */
  readonly #sent = new Set<string>()
  readonly #checks = new Map<Durability, { at: number; check: Promise<Waits> }>()
  #connection: WriterLike | undefined
  #closed = false

  /** `always`: what all writes of the store ask for. */
  constructor(client: RedisLike, replicas: number, always: Durability) {
    this.#client = client
    this.#replicas = replicas
    this.#always = always
  }

  /** Resolves to what there is to wait for; rejects with `store-failed` and what to set up. */
  require(durability: Durability, deadline: Deadline): Promise<Waits> {
    const known = this.#checks.get(durability)
    if (known && performance.now() - known.at < CHECKED_MS) return known.check
    const check = this.#check(durability, deadline)
    this.#checks.set(durability, { at: performance.now(), check })
    check.catch(() => this.#checks.delete(durability))
    return check
  }

  async run(
    script: Script,
    keys: readonly string[],
    args: KeysAndArgs,
    durability: Durability,
    deadline: Deadline,
  ): Promise<unknown> {
    await this.require(durability, deadline)
    return new Promise((resolve, reject) => {
      this.#add({
        script,
        keys,
        args,
        durability,
        deadline,
        isKnown: this.#sent.has(script.sha),
        resolve,
        reject,
      })
    })
  }

  close() {
    this.#closed = true
    this.#connection?.disconnect()
  }

  #add(write: Write) {
    const slot = this.#client.isCluster ? tagOf(write.keys[0]!) : ''
    const pending = this.#pending.get(slot)
    if (pending) pending.push(write)
    else this.#pending.set(slot, [write])
    if (!this.#busy.has(slot)) void this.#rounds(slot)
  }

  async #rounds(slot: string) {
    this.#busy.add(slot)
    // What is sent in one turn goes together.
    await Promise.resolve()
    for (let round = this.#pending.get(slot); round; round = this.#pending.get(slot)) {
      this.#pending.delete(slot)
      await this.#round(round)
    }
    this.#busy.delete(slot)
  }

  async #round(round: readonly Write[]) {
    const deadline = round.reduce(
      (last, { deadline: at }) => (at.at > last.at ? at : last),
      round[0]!.deadline,
    )
    try {
      const waits = await this.#waitsOf(round, deadline)
      const pipeline = (await this.#ready(deadline)).pipeline()
      for (const write of round) {
        addScript(pipeline, write)
        this.#sent.add(write.script.sha)
      }
      const first = round[0]!.keys[0]!
      pipeline.set(`${first.slice(0, first.indexOf('}') + 1)}:once:durable`, '', 'PX', MARK_MS)
      const sentWaits = addWaits(pipeline, waits, this.#replicas, deadline)
      const results = (await deadline.within(pipeline.exec())) as Result[]
      const waited = results.slice(round.length)
      const failure = this.#failureOf(waited, sentWaits)
      for (const [i, write] of round.entries()) this.#settle(write, results[i]!, failure)
    } catch (error) {
      for (const { reject } of round) reject(storeError(error, true))
    }
  }

  /** As much as any of them asks for, and the store. */
  async #waitsOf(round: readonly Write[], deadline: Deadline): Promise<Waits> {
    const kinds = [...new Set([this.#always, ...round.map(({ durability }) => durability)])]
    const waits = await Promise.all(kinds.map((durability) => this.require(durability, deadline)))
    return { disk: waits.some(({ disk }) => disk), replicas: waits.some(({ replicas }) => replicas) }
  }

  #settle(write: Write, [error, reply]: Result, failure: StoreError | undefined) {
    if (error && write.isKnown && error.message.includes('NOSCRIPT'))
      return this.#add({ ...write, isKnown: false })
    if (error) write.reject(storeError(error, false))
    else if (failure) write.reject(failure)
    else write.resolve(reply)
  }

  /** `waited`: the mark, then what was waited for. The outcome of the writes is unknown, then. */
  #failureOf(waited: readonly Result[], kinds: readonly WaitKind[]): StoreError | undefined {
    const failed = waited.find(([error]) => error)
    if (failed) return unknownOutcome(`could not be made sure of: ${failed[0]!.message}`, failed[0])
    for (const [i, kind] of kinds.entries()) {
      const reply = waited[i + 1]?.[1]
      const count = Number(Array.isArray(reply) ? reply[0] : reply)
      if (kind === 'WAITAOF' && !(count >= 1)) return unknownOutcome('was not on the disk of Redis in time')
      if (kind === 'WAIT' && !(count >= this.#replicas))
        return unknownOutcome(`was with ${count} of ${this.#replicas} replicas in time`)
    }
    return undefined
  }

  async #check(durability: Durability, deadline: Deadline): Promise<Waits> {
    if (durability === 'memory') return { disk: false, replicas: false }
    const connection = await this.#ready(deadline)
    const servers = connection.isCluster ? (connection.nodes?.('master') ?? []) : [connection]
    const all = await Promise.all(servers.map((server) => this.#checkServer(server, durability, deadline)))
    return { disk: all.some(({ disk }) => disk), replicas: durability === 'replicated' }
  }

  async #checkServer(server: WriterLike, durability: Durability, deadline: Deadline): Promise<Waits> {
    const ask = async (...command: [string, ...(string | number)[]]) => {
      try {
        return await deadline.within(server.call(...command))
      } catch (error) {
        const failure = storeError(error, false)
        if (failure.code !== 'store-failed') throw failure
        return error as Error
      }
    }
    if (durability === 'replicated') {
      // A replica says what it has when it is asked, which takes a round trip between the two.
      const count = await ask('WAIT', this.#replicas, ASKED_MS)
      if (count instanceof Error) throw notDurable(durability, `Redis refuses WAIT: ${count.message}`)
      if (Number(count) >= this.#replicas) return { disk: false, replicas: true }
      throw notDurable(durability, `Redis has ${Number(count)} of ${this.#replicas} replicas connected`)
    }
    const disk = await ask('WAITAOF', 1, 0, 1)
    if (!(disk instanceof Error)) return { disk: true, replicas: false }
    const settings = await ask('CONFIG', 'GET', 'append*')
    // Then each write is on the disk before it is answered.
    if (isAlways(settings)) return { disk: false, replicas: false }
    throw notDurable(durability, `Redis refuses WAITAOF: ${disk.message}. ${HOW_TO_FSYNC}`)
  }

  async #ready(deadline: Deadline): Promise<WriterLike> {
    if (this.#closed) throw new StoreError('store-unavailable', 'The store was closed.')
    const connection = (this.#connection ??= writingConnection(this.#client))
    await Connection.of(connection).ready(deadline)
    return connection
  }
}

const HOW_TO_FSYNC =
  'It takes appendonly yes and Redis 7.2 or newer, or Valkey; or appendonly yes and appendfsync always'

function isAlways(settings: unknown) {
  if (settings instanceof Error) return false
  const set = new Map(pairs(settings))
  return set.get('appendonly') === 'yes' && set.get('appendfsync') === 'always'
}

type WaitKind = 'WAIT' | 'WAITAOF'

function addScript(pipeline: PipelineLike, { script, keys, args, isKnown }: Write) {
  if (isKnown) pipeline.evalsha(script.sha, keys.length, ...keys, ...args)
  else pipeline.eval(script.lua, keys.length, ...keys, ...args)
}

function addWaits(pipeline: PipelineLike, waits: Waits, replicas: number, deadline: Deadline): WaitKind[] {
  const ms = Math.max(1, Math.floor(deadline.at - performance.now()))
  const kinds: WaitKind[] = []
  if (waits.replicas) {
    pipeline.call('WAIT', replicas, ms)
    kinds.push('WAIT')
  }
  if (waits.disk) {
    pipeline.call('WAITAOF', 1, 0, ms)
    kinds.push('WAITAOF')
  }
  return kinds
}

const unknownOutcome = (problem: string, cause?: unknown) =>
  new StoreError('store-timeout', `What was written ${problem}.`, cause === undefined ? undefined : { cause })

const tagOf = (key: string) => /\{([^{}]*)\}/.exec(key)?.[1] ?? key
