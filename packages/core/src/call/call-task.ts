import { startTimer } from '../timers.js'
import type { JsonRpcResponse } from '../json-rpc.js'
import type { TaskTerms } from './record.js'

/** What the answer says that a client got in place of the result of its call. */
export function termsIn(answer: JsonRpcResponse): TaskTerms | undefined {
  const { structuredContent } = ('result' in answer ? answer.result : {}) as {
    structuredContent?: { ttlMs?: unknown }
  }
  const ttlMs = structuredContent?.ttlMs
  return typeof ttlMs === 'number' ? { afterMs: 0, ttlMs } : undefined
}

type CallTaskOf = {
  terms: TaskTerms
  /** When the call was opened, in ms since 1970. */
  begunAt: number
  /** The journal says that it is one. */
  isTask: boolean
  /** Whether it waits for its client, which has had no task in answer yet. */
  isAsking: () => boolean
  /** Writes down that it is a task. */
  record: () => Promise<unknown>
  /** It has run for as long as a task is kept. */
  expired: () => void
}

/** A call that is a task, or becomes one if it does not end soon, at its owner (SEP-2663). */
export class CallTask {
  readonly #of: CallTaskOf
  #isTask: boolean
  #isDue = false
  #endBecoming: () => void = () => undefined
  readonly #endExpiring: () => void

  constructor(of: CallTaskOf) {
    this.#of = { ...of }
    const { terms, begunAt } = of
    this.#isTask = of.isTask
    const dueInMs = Math.min(Math.max(0, begunAt + terms.afterMs - Date.now()), terms.afterMs)
    if (!this.#isTask && terms.afterMs === 0) this.#due()
    else if (!this.#isTask) this.#endBecoming = startTimer(dueInMs, () => this.#due(), { ref: false })
    this.#endExpiring = startTimer(this.leftMs, of.expired, { ref: false })
  }

  get isTask() {
    return this.#isTask
  }

  /** When it has run for as long as it may, in ms since 1970. */
  get endsAt() {
    const { terms, begunAt } = this.#of
    return begunAt + terms.ttlMs
  }

  /** For how long it is kept from now on, by this node's clock. */
  get leftMs() {
    const { terms, begunAt } = this.#of
    return Math.min(Math.max(0, begunAt + terms.ttlMs - Date.now()), terms.ttlMs)
  }

  /** Its client has answered: before that it hears nothing of a task. */
  answered() {
    if (this.#isDue) this.#due()
  }

  end() {
    this.#endBecoming()
    this.#endExpiring()
  }

  #due() {
    this.#isDue = true
    if (this.#isTask || this.#of.isAsking()) return
    this.#isTask = true
    // What is lost with this node, the next one writes.
    this.#of.record().catch(() => undefined)
  }
}
