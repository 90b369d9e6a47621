import type { Events } from './events.js'
import type { Span } from './telemetry.js'

type Timed = {
  [Name in keyof Events]: Events[Name] extends { durationMs: number } ? Name : never
}[keyof Events]

/** Something under way that somebody wants to know of; it ends once. */
export class Observed<Name extends Timed> {
  readonly #tell: ((event: Events[Name]) => void) | undefined
  readonly #span: Span<Name> | undefined
  readonly #beganAt: number
  #ended = false

  /** `sinceMs`: for how long it has been there already. */
  constructor(tell: ((event: Events[Name]) => void) | undefined, span: Span<Name> | undefined, sinceMs = 0) {
    this.#tell = tell
    this.#span = span
    this.#beganAt = performance.now() - sinceMs
  }

  /** Runs what belongs to it. */
  run<Args extends unknown[], T>(work: (...args: Args) => T, ...args: Args): T {
    return this.#span ? this.#span.run(work, ...args) : work(...args)
  }

  end(how: Omit<Events[Name], 'durationMs'>) {
    if (this.#ended) return
    this.#ended = true
    const event = { ...how, durationMs: performance.now() - this.#beganAt } as unknown as Events[Name]
    this.#span?.end(event)
    this.#tell?.(event)
  }
}
