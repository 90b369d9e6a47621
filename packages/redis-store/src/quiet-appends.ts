import type { NewEntry, QuietlyAppended } from '@mcp-durable/core/store'
import type { Added } from './replies.js'
import { isOfSeveralSlots } from './errors.js'

/** As many entries go to Redis in one script, in which it serves nobody else. */
const MOST = 128

/** Entries for one journal, and who waits for what becomes of them. */
export type QuietAppend = {
  scope: string
  callId: string
  entries: readonly NewEntry[]
  resolve: (outcome: QuietlyAppended | Promise<QuietlyAppended>) => void
  reject: (error: unknown) => void
}
type Sending = {
  /** Sends entries of all of them in one command; answers for each entry, in their order. */
  together: (appends: readonly QuietAppend[]) => Promise<Added[]>
  /** Of a journal that has refused an entry: appends them in a way that tells why. */
  alone: (append: QuietAppend) => Promise<QuietlyAppended>
  /** Scopes are on several servers, of which one may be away while the others answer. */
  isSpread: boolean
}

/**
 * Gathers what all calls of a node come up with at once, such as steps, for one command: that costs more than an entry in
 * it does. What one journal is given is never parted: else an entry could be there and one before it not, and a repetition
 * would find that its last one was applied.
 */
export class QuietAppends {
  readonly #sending: Sending
  #isSpread: boolean
  #gathered: QuietAppend[] = []
  #count = 0

  constructor(sending: Sending) {
    this.#sending = sending
    this.#isSpread = sending.isSpread
  }

  append(scope: string, callId: string, entries: readonly NewEntry[]): Promise<QuietlyAppended> {
    return new Promise((resolve, reject) => {
      // Who goes on with the same answer of Redis has come by then: what they wait for are promises.
      if (this.#gathered.length === 0) process.nextTick(this.#flush)
      this.#gathered.push({ scope, callId, entries, resolve, reject })
      this.#count += entries.length
      if (this.#count >= MOST) this.#flush()
    })
  }

  readonly #flush = () => {
    const gathered = this.#gathered
    if (gathered.length === 0) return
    this.#gathered = []
    this.#count = 0
    if (this.#isSpread) this.#sendByScope(gathered)
    else this.#send(gathered)
  }

  #sendByScope(gathered: readonly QuietAppend[]) {
    const byScope = new Map<string, QuietAppend[]>()
    for (const append of gathered) {
      const own = byScope.get(append.scope)
      if (own) own.push(append)
      else byScope.set(append.scope, [append])
    }
    for (const own of byScope.values()) this.#send(own)
  }

  #send(appends: readonly QuietAppend[]) {
    this.#sending.together(appends).then(
      (outcomes) => this.#tell(appends, outcomes),
      (error: unknown) => {
        if (isOfSeveralSlots(error) && areOfSeveral(appends)) return this.#spread(appends)
        for (const { reject } of appends) reject(error)
      },
    )
  }

  /** Behind one address there are several servers. Nothing was appended. */
  #spread(appends: readonly QuietAppend[]) {
    this.#isSpread = true
    this.#sendByScope(appends)
  }

  #tell(appends: readonly QuietAppend[], outcomes: readonly Added[]) {
    let at = 0
    for (const append of appends) {
      let outcome: Added = 'appended'
      for (const end = at + append.entries.length; at < end; at++)
        if (outcome === 'appended') outcome = outcomes[at] ?? 'gone'
      append.resolve(outcome === 'refused' ? this.#sending.alone(append) : outcome)
    }
  }
}

const areOfSeveral = (appends: readonly QuietAppend[]) =>
  appends.some(({ scope }) => scope !== appends[0]?.scope)
