import { startTimer } from '../timers.js'

/** A step, or whatever else has its place in the order of steps. */
export interface Settling {
  settle(): void
}

/**
 * So long the code before a recorded step may take before the step counts as one that this run does not come to. In parts:
 * a process that stood still for all of it has had no time to come to anything.
 */
const PARTS = 10

/**
 * Steps settle one at a time, in the order in which they ended, in every run of a call: what won a race wins it again.
 *
 * Invariants: what earlier runs have ended settles in its recorded order, and before all that ends in this run. Between two
 * settlements all microtasks run, in a first run too, so that what follows from one has followed before the next.
 *
 * A recorded step that this run has not begun yet holds up what comes after it: the code before it may wait for something
 * that is no step. It does so for as long as this run comes to no other one within `patienceMs`, since it may never come to it: its
 * code was changed by a deploy, or branches on what is not recorded. Such steps are passed over then, and the order of those that have
 * begun is kept without waiting for others.
 */
export class SettleOrder {
  readonly #recorded: readonly string[]
  readonly #patienceMs: number
  readonly #onPassedOver: (ids: readonly string[]) => void
  #places: ReadonlyMap<string, number> | undefined
  #next = 0
  /** Recorded steps that this run has begun and whose turn has not come, by id. */
  readonly #begun = new Map<string, Settling>()
  /** Those whose turn was passed over before they began. */
  #late: Settling[] = []
  #ended: Settling[] = []
  #isAsked = false
  #isFollowed = true
  #isStopped = false
  #reading = 0
  #endPatience: (() => void) | undefined

  /**
   * `recorded`: the ids of the steps that earlier runs have ended, in the order in which they did. `onPassedOver`: told of the first
   * that are passed over.
   */
  constructor(
    recorded: readonly string[],
    patienceMs: number,
    onPassedOver: (ids: readonly string[]) => void,
  ) {
    this.#recorded = recorded
    this.#patienceMs = patienceMs
    this.#onPassedOver = onPassedOver
  }

  /** What has begun waits for a recorded step that has not. */
  get isHeldUp(): boolean {
    return this.#endPatience !== undefined
  }

  /** A step that an earlier run has ended. */
  replayed(id: string, step: Settling) {
    this.#places ??= new Map(this.#recorded.map((recorded, place) => [recorded, place]))
    if ((this.#places.get(id) ?? -1) < this.#next) this.#late.push(step)
    else this.#begun.set(id, step)
    this.#stopWaiting()
    this.#ask()
  }

  /** A step that has ended just now. */
  ended(step: Settling) {
    this.#ended.push(step)
    this.#ask()
  }

  /** The code may wait for this before it comes to a step; that does not count as never. */
  async during<T>(reading: Promise<T>): Promise<T> {
    if (this.#next === this.#recorded.length) return reading
    this.#reading++
    try {
      return await reading
    } finally {
      this.#reading--
      this.#ask()
    }
  }

  /** Nothing settles any more. */
  stop() {
    this.#isStopped = true
    this.#stopWaiting()
    this.#begun.clear()
    this.#late = []
    this.#ended = []
  }

  #ask() {
    if (this.#isAsked || this.#isStopped) return
    this.#isAsked = true
    // Where more is recorded, what follows from a settlement gets a whole turn.
    if (this.#begun.size > 1) setImmediate(this.#settleNext)
    else afterMicrotasks(this.#settleNext)
  }

  readonly #settleNext = () => {
    this.#isAsked = false
    if (this.#isStopped) return
    const step = this.#take()
    if (step) {
      this.#stopWaiting()
      step.settle()
    }
    if (this.#late.length + this.#begun.size + this.#ended.length === 0) return
    if (step) this.#ask()
    else if (this.#reading === 0) this.#endPatience ??= this.#wait(this.#isFollowed ? PARTS : 0)
  }

  #take(): Settling | undefined {
    if (this.#late.length > 0) return this.#late.shift()
    const id = this.#recorded[this.#next]
    if (id === undefined) return this.#ended.shift()
    const step = this.#begun.get(id)
    if (!step) return undefined
    this.#next++
    this.#begun.delete(id)
    return step
  }

  #wait(parts: number): () => void {
    const goOn = () => {
      this.#endPatience = parts > 1 ? this.#wait(parts - 1) : undefined
      if (!this.#endPatience && this.#reading === 0) this.#passOver()
    }
    return startTimer(parts > 0 ? this.#patienceMs / PARTS : 0, goOn)
  }

  #stopWaiting() {
    this.#endPatience?.()
    this.#endPatience = undefined
  }

  #passOver() {
    const from = this.#next
    while (this.#next < this.#recorded.length && !this.#begun.has(this.#recorded[this.#next]!)) this.#next++
    if (this.#isFollowed) this.#onPassedOver(this.#recorded.slice(from, this.#next))
    this.#isFollowed = false
    this.#ask()
  }
}

let waiting: Array<() => void> = []

/** Calls `action` when all microtasks have run, those of now and what they lead to: ticks come between. One tick is for all calls. */
function afterMicrotasks(action: () => void) {
  if (waiting.push(action) === 1) queueMicrotask(tickSoon)
}

const tickSoon = () => process.nextTick(callAll)

function callAll() {
  const actions = waiting
  waiting = []
  for (const action of actions) action()
}
