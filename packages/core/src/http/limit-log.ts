import type { Logger } from '../logger.js'

const EVERY_MS = 60_000

/** Says on the log that requests are refused because of a limit: at once, then once a minute, since who does that does it often. */
export class LimitLog {
  readonly #logger: Logger
  readonly #limits = new Map<string, { saidAt: number; unsaid: number }>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** `limit`: one of a few sentences, the client's answer. */
  refused(limit: string) {
    const last = this.#limits.get(limit)
    const now = performance.now()
    if (last && now - last.saidAt < EVERY_MS) return void last.unsaid++
    this.#limits.set(limit, { saidAt: now, unsaid: 0 })
    const requests = (last?.unsaid ?? 0) + 1
    this.#logger.warn({ requests }, `refused with 429: ${limit}`)
  }
}
