import type { Rates, Takeover } from './snapshot.js'

const WINDOW_MS = 10_000
const REMEMBERED = 10_000
const LISTED = 20

/** Counts what is heard: records written, calls begun, calls taken over. Times are of this machine. */
export class Activity {
  readonly #beganAt: number
  #records: Array<{ at: number; count: number }> = []
  #begun: number[] = []
  readonly #calls = new Map<string, string>()
  readonly #claims = new Set<string>()
  readonly #takeovers: Takeover[] = []
  #takeoverCount = 0

  constructor(now = Date.now()) {
    this.#beganAt = now
  }

  get takeovers(): readonly Takeover[] {
    return this.#takeovers
  }

  /** A wake-up: the log of a call has come to a record. The first record of an epoch is a request or a claim. */
  heard(callId: string, recordId: string, now = Date.now()) {
    const before = this.#calls.get(callId)
    if (before === recordId) return
    this.sawCall(callId, now)
    this.#calls.set(callId, recordId)
    this.#records.push({ at: now, count: written(before, recordId) })
    if (recordId.endsWith('-1')) this.#claimed(callId, recordId)
  }

  /** A call is there; `isOld` when it was before the monitor. */
  sawCall(callId: string, now = Date.now(), isOld = false) {
    if (this.#calls.has(callId)) return
    if (!isOld) this.#begun.push(now)
    this.#calls.set(callId, '')
    const [oldest] = this.#calls.keys()
    if (this.#calls.size > REMEMBERED && oldest !== undefined) this.#calls.delete(oldest)
  }

  /** A takeover that a journal tells of. */
  tookOver(recordId: string, takeover: Takeover) {
    if (this.#takeovers.some(({ callId, at }) => callId === takeover.callId && at === takeover.at)) return
    this.#takeovers.push(takeover)
    if (this.#takeovers.length > LISTED) this.#takeovers.shift()
    this.#claimed(takeover.callId, recordId)
  }

  rates(now = Date.now()): Rates {
    const since = now - WINDOW_MS
    this.#records = this.#records.filter(({ at }) => at > since)
    this.#begun = this.#begun.filter((at) => at > since)
    const seconds = Math.max(1, Math.min(WINDOW_MS, now - this.#beganAt) / 1000)
    return {
      callsPerSecond: this.#begun.length / seconds,
      recordsPerSecond: this.#records.reduce((sum, { count }) => sum + count, 0) / seconds,
      takeovers: this.#takeoverCount,
    }
  }

  #claimed(callId: string, recordId: string) {
    const claim = `${callId} ${recordId}`
    if (this.#claims.has(claim)) return
    this.#claims.add(claim)
    this.#takeoverCount++
  }
}

/** How many records lie between two of one journal, the second included. */
function written(before = '', after: string): number {
  const [epoch, seq] = after.split('-')
  const [oldEpoch, oldSeq] = before.split('-')
  return epoch === oldEpoch ? Math.max(0, Number(seq) - Number(oldSeq)) : Number(seq)
}
