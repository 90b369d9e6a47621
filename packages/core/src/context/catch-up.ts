import type { CallLog, StepKind } from './call-log.js'
import { DivergenceError } from './errors.js'
import type { Divergence } from './divergence.js'
import { publicName } from './step-warnings.js'
import { startTimer } from '../timers.js'

type Order = { readonly isHeldUp: boolean }

/** A process that stood still for all of the time has had no time to come to anything. */
const PARTS = 20

/**
 * The steps of earlier runs that this run has not come to yet.
 *
 * Invariant: no step that the journal does not have begins before this run has come to all that it has. In a deterministic handler what
 * leads to a recorded step is recorded, so steps side by side wait only until the others have come as far as they had. If they don't
 * come so far for long, the code is not that of the journal, and the new step would be begun in place of one that is recorded.
 */
export class CatchUp {
  readonly #log: CallLog
  /** The ids of the steps that this run has begun. */
  readonly #begun: ReadonlySet<string>
  readonly #patienceMs: number
  readonly #order: Order
  readonly #left: Set<string>
  readonly #recorded: number
  #isOver = false
  /** What waits for the end, and is asked for first. */
  #waiting: { isOver: Promise<void>; end: (error?: DivergenceError) => void } | undefined
  #endPatience: () => void = () => undefined
  #partsLeft = PARTS
  #reading = 0

  /** `order`: what it holds up goes on when its time is over, and may come to more. */
  constructor(log: CallLog, begun: ReadonlySet<string>, patienceMs: number, order: Order) {
    const recorded = log.recordedSteps?.() ?? []
    this.#log = log
    this.#begun = begun
    this.#patienceMs = patienceMs
    this.#order = order
    this.#left = new Set(recorded)
    this.#recorded = recorded.length
  }

  get isOver(): boolean {
    this.#isOver ||= this.#left.size === 0 && !this.#log.hasAskedBeyond?.(this.#begun)
    return this.#isOver
  }

  /** A step is begun. */
  comesTo(id: string) {
    if (this.#isOver) return
    this.#left.delete(id)
    this.#partsLeft = PARTS
    if (this.isOver) this.stop()
  }

  /** Resolves when it is over; rejects with a `DivergenceError`. `step`: what waits for that. */
  until(step: string): Promise<void> {
    this.#waiting ??= this.#begin(step)
    return this.#waiting.isOver
  }

  /** The code may wait for this before it comes to a step. */
  async during<T>(reading: Promise<T>): Promise<T> {
    if (this.#isOver) return reading
    this.#reading++
    try {
      return await reading
    } finally {
      this.#reading--
    }
  }

  /** What the handler did not come to, if it has returned. */
  get missed(): DivergenceError | undefined {
    return this.isOver ? undefined : this.#divergence()
  }

  /** What the handler did not come to, if it was not begun. */
  get refused(): DivergenceError | undefined {
    return this.isOver ? undefined : this.#divergence({ refused: true })
  }

  /** Of a step that is of another kind now. */
  changed(step: string, was: StepKind, is: StepKind): DivergenceError {
    return this.#divergence({ step, expected: step, was, is })
  }

  /** Nothing waits any more; what waits ends by itself. */
  stop() {
    this.#endPatience()
    this.#waiting?.end()
  }

  #begin(step: string) {
    let end!: (error?: DivergenceError) => void
    const isOver = new Promise<void>((resolve, reject) => {
      end = (error) => (error ? reject(error) : resolve())
    })
    this.#wait(step, end)
    return { isOver, end }
  }

  #wait(step: string, end: (error: DivergenceError) => void) {
    const goOn = () => {
      if (this.#reading === 0 && !this.#order.isHeldUp) this.#partsLeft--
      if (this.#partsLeft > 0) this.#wait(step, end)
      else end(this.#divergence({ step }))
    }
    this.#endPatience = startTimer(this.#patienceMs / PARTS, goOn)
  }

  #divergence(how: Partial<Divergence> = {}): DivergenceError {
    const [expected] = this.#left
    const { recordedBy, version } = this.#log.versions ?? {}
    return new DivergenceError({
      ...(expected !== undefined && { expected: publicName(expected) }),
      position: this.#recorded - this.#left.size + 1,
      ...how,
      ...(recordedBy !== undefined && { recordedBy }),
      ...(version !== undefined && { version }),
    })
  }
}
