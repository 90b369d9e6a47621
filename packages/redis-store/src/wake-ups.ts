import { createHash } from 'node:crypto'
import type { RedisLike } from './redis-like.js'
import type { Script } from './scripts.generated.js'

/**
 * How nodes wake each other: over sharded pub/sub; over plain pub/sub, where the server has no other; or not at all, where it
 * has none, so that all have to look now and then. All nodes of a store have to go the same way.
 */
export type Way = 'sharded' | 'plain' | 'polled'

/** What a server says of itself: the reply of the script `find-risks` by name. */
export type Findings = Readonly<Record<string, string>>

/** The line of includes/wake.lua. */
const SHARDED = "local PUBLISH, COUNT = 'SPUBLISH', 'SHARDNUMSUB'"
/** A server of a Cluster counts only those who listen to itself. */
const PLAIN = "local PUBLISH, COUNT = 'PUBLISH', 'NUMSUB'"
const PLAIN_UNCOUNTED = "local PUBLISH, COUNT = 'PUBLISH', nil"
const POLLED = 'local PUBLISH, COUNT = nil, nil'

const waysOf = new WeakMap<RedisLike, WakeUps>()
const variants = new Map<string, Map<string, Script>>()

/** Found out once for all stores on one client. */
export class WakeUps {
  #findings: Findings | undefined
  #way: Way | undefined
  #isKnown = false
  #finding: Promise<void> | undefined
  readonly #listeners = new Set<() => void>()
  /** The server has taken a subscription of this way. */
  #isConfirmed = false
  /** Why it is not sharded pub/sub. */
  reason = ''

  static of(redis: RedisLike): WakeUps {
    let wakeUps = waysOf.get(redis)
    if (!wakeUps) waysOf.set(redis, (wakeUps = new WakeUps()))
    return wakeUps
  }

  /** `undefined`: the server has not been asked. */
  get way() {
    return this.#isKnown ? this.#way : undefined
  }

  /** Subscriptions of another way hear nothing any more. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What to try next. */
  get subscription(): Way {
    return this.#way ?? 'sharded'
  }

  /** `ask` calls `found`; `subscribe` tries until a subscription is taken, or none will be. */
  find(ask: (needsPlain: boolean) => Promise<unknown>, subscribe: () => Promise<unknown>): Promise<void> {
    const find = async () => {
      await ask(false)
      // If it can't be tried for now, it is tried when somebody listens.
      await subscribe().catch(() => undefined)
      if (this.#way === 'plain') await ask(true)
      this.#isKnown = true
    }
    return (this.#finding ??= find().finally(() => (this.#finding = undefined)))
  }

  found(findings: Findings) {
    this.#findings = findings
    const { SPUBLISH: sharded = '', PUBLISH: plain = '' } = findings
    this.#way ??= 'sharded'
    if (this.#isKnown) return
    if (this.#way === 'sharded' && isLacking(sharded)) this.#fallBack(sharded)
    if (this.#way === 'plain' && isLacking(plain)) this.#fallBack(plain)
  }

  confirmed() {
    this.#isConfirmed = true
  }

  /** The server does not take subscriptions of this way. False: it did once, or there is no other way. */
  refused(way: Way, reason: string): boolean {
    if (this.#isConfirmed) return false
    this.#way ??= 'sharded'
    if (way === this.#way) this.#fallBack(reason)
    return true
  }

  #fallBack(reason: string) {
    const isPlain = this.#way === 'sharded' && !isLacking(this.#findings?.['PUBLISH'])
    this.#way = isPlain ? 'plain' : 'polled'
    this.reason ||= reason
    this.#isConfirmed = false
    for (const listener of this.#listeners) listener()
  }

  /** The script as it goes this way. `undefined`: it wakes others, and the server has not been asked. */
  variantOf(script: Script): Script | undefined {
    if (this.way === 'sharded' || !script.lua.includes(SHARDED)) return script
    if (!this.way) return undefined
    const line = this.#way === 'polled' ? POLLED : this.#isAlone ? PLAIN : PLAIN_UNCOUNTED
    return variant(script, line)
  }

  get #isAlone() {
    return this.#findings?.['cluster_enabled'] === '0'
  }
}

/** The server has no such command, or does not let this user send it. Rights to channels are another matter: they are forgotten. */
export const isLacking = (refusal = '') =>
  /unknown|no permission|can't run|not (allowed|supported)/i.test(refusal) && !/channel/i.test(refusal)

function variant({ sha, lua }: Script, line: string): Script {
  const ofLine = variants.get(line) ?? new Map<string, Script>()
  variants.set(line, ofLine)
  let other = ofLine.get(sha)
  if (!other) {
    const text = lua.replace(SHARDED, line)
    ofLine.set(sha, (other = { sha: createHash('sha1').update(text).digest('hex'), lua: text }))
  }
  return other
}
