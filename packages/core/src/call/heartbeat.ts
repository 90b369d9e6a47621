import { Since } from '../since.js'
import { lateAfterMs } from './lease.js'
import type { Lease } from './lease.js'

/** After the store was away, every node seems late and unheard of until it has connected again. */
const SETTLE_MS = 5_000

/** The beats of this node, and what follows from them about what the others may think of it, and it of them. */
export class Heartbeat {
  readonly #send: () => Promise<boolean>
  readonly #lease: Lease
  readonly #onUnknown: () => Promise<void>
  #beating: Promise<void> | undefined
  #begun = new Since()
  #beatsFail = false
  /** Of the last beat after which the store knew this node and all that it holds. */
  #known: Since | undefined
  /** A beat has begun since, and may have been the one that was told that the node is not known. */
  #isUnsure = true
  #unsettled: Since | undefined

  /**
   * `send` answers whether the store knew the node. `onUnknown`: it did not, or may not have: others may have taken the
   * node for dead. The node counts as known once that has resolved.
   */
  constructor(send: () => Promise<boolean>, lease: Lease, onUnknown: () => Promise<void>) {
    this.#send = send
    this.#lease = lease
    this.#onUnknown = onUnknown
  }

  /** One at a time: whoever asks meanwhile waits for the one that is under way. */
  beat(): Promise<void> {
    this.#beating ??= this.#beatAndNote().finally(() => (this.#beating = undefined))
    return this.#beating
  }

  /**
   * That nobody has taken this node for dead. While its beats reach nobody, though it is awake, theirs don't either,
   * and nobody is judged; a master of a Cluster may be away alone.
   */
  get isSure(): boolean {
    const late = this.#knownMs
    return late < lateAfterMs(this.#lease) || (this.#beatsFail && late < this.#lease.leaseMs)
  }

  /** Beats if others may have taken this node for dead since its last beat. */
  async makeSure() {
    if (!this.isKnown) await this.beat()
    // That one may have been under way since before this node stood still.
    if (!this.isKnown) await this.beat()
  }

  /** As its last beat says, which is not old. */
  get isKnown() {
    return this.#knownMs < lateAfterMs(this.#lease)
  }

  /** For how long nothing is known of what the others think. */
  get #knownMs() {
    return this.#known?.ms ?? Number.POSITIVE_INFINITY
  }

  /** Whether the lateness of other nodes means anything now. */
  mayJudge(): boolean {
    this.#noticePause()
    return this.#unsettled === undefined || this.#unsettled.ms >= SETTLE_MS
  }

  /** The store is or was away: other nodes are not judged for a while. */
  waitToJudge() {
    this.#unsettled = new Since()
  }

  /** A node that stood still does not know who else did: a machine that slept, a long turn of the event loop. */
  #noticePause() {
    if (this.#begun.ms > this.#lease.heartbeatMs * 4) this.waitToJudge()
  }

  async #beatAndNote() {
    try {
      await this.#beat()
      this.#beatsFail = false
    } catch (error) {
      this.#beatsFail = true
      throw error
    }
  }

  async #beat() {
    this.#noticePause()
    const began = new Since()
    this.#begun = began
    const wasKnown = !this.#isUnsure
    this.#isUnsure = true
    const isKnown = await this.#send()
    // The others may not be known either, for as long.
    const isLate = began.ms > lateAfterMs(this.#lease)
    if (isLate || (wasKnown && !isKnown)) this.waitToJudge()
    // First beat, or taken for dead; or an earlier beat failed, which may have been the one that was told so.
    if (!(wasKnown && isKnown)) await this.#onUnknown()
    this.#isUnsure = false
    this.#known = began
  }
}
