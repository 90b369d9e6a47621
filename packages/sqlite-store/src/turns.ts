/** A process that waits longer for those before it stops waiting for the first of them: it may have been stopped, or be slow. */
const MOST_MS = 20
/** The lock may be held by a program that says nothing: it is tried again. */
const BUSY_MS = 5

/** A waiter: when it began to wait. Of two, the one with the lower ticket goes first. */
type Ticket = { since: number; id: string }
type Waiting = { resolve: () => void; forCommit: boolean; timer: NodeJS.Timeout }

/**
 * Who writes next. SQLite's lock decides who writes; whoever has just written would nearly always get it again, since the others look
 * for it only now and then. So those who found it taken say since when they wait, and are let go first, in that order.
 *
 * Tickets are hints: one may be lost, or be that of a process that was stopped. Nobody waits for one of them longer than `MOST_MS`.
 */
export class Turns {
  readonly #id: string
  readonly #tell: (since: number) => void
  /** Tickets of the others, by the id of their process. */
  readonly #others = new Map<string, Ticket>()
  #mine: Ticket | undefined
  #waiting: Waiting | undefined

  /** `tell`: says to the others since when this process waits. */
  constructor(id: string, tell: (since: number) => void) {
    this.#id = id
    this.#tell = tell
  }

  /** Whether somebody wants to hear of the next commit. */
  get areWanted(): boolean {
    return this.#mine !== undefined || this.#others.size > 0
  }

  /** `undefined`: nobody is before this process. */
  turn(): Promise<void> | undefined {
    return this.#first() && this.#wait(false)
  }

  busy(): Promise<void> {
    return this.#wait(true)
  }

  /** This process has written, or has given it up. */
  done() {
    this.#mine = undefined
    this.#go()
  }

  /** Another process waits. */
  waits(id: string, since: number) {
    this.#others.set(id, { id, since })
  }

  /** Another process has written, */
  committed(id: string) {
    this.#others.delete(id)
    this.#moved(true)
  }

  /** or is gone. */
  left(id: string) {
    if (this.#others.delete(id)) this.#moved(false)
  }

  close() {
    this.#others.clear()
    this.#go()
  }

  #wait(forCommit: boolean): Promise<void> {
    this.#go()
    this.#mine ??= { since: now(), id: this.#id }
    this.#tell(this.#mine.since)
    return new Promise((resolve) => {
      this.#waiting = { resolve, forCommit, timer: this.#timer(forCommit) }
    })
  }

  #timer(forCommit: boolean) {
    return setTimeout(() => this.#late(), forCommit ? BUSY_MS : MOST_MS)
  }

  /** Nothing has happened for a while: the first of those before this process does not take its turn, or its word was lost. */
  #late() {
    const first = this.#waiting?.forCommit ? undefined : this.#first()
    if (first) this.#others.delete(first.id)
    if (first && this.#first()) this.#restart()
    else this.#go()
  }

  #moved(isCommit: boolean) {
    if (!this.#waiting) return
    if (isCommit) this.#waiting.forCommit = false
    if (this.#waiting.forCommit) return
    if (this.#first()) this.#restart()
    else this.#go()
  }

  #restart() {
    const waiting = this.#waiting
    if (!waiting) return
    clearTimeout(waiting.timer)
    waiting.timer = this.#timer(waiting.forCommit)
  }

  #go() {
    const waiting = this.#waiting
    this.#waiting = undefined
    clearTimeout(waiting?.timer)
    waiting?.resolve()
  }

  /** The first of those that go before this process. */
  #first(): Ticket | undefined {
    let first = this.#mine
    for (const other of this.#others.values()) if (!first || isBefore(other, first)) first = other
    return first === this.#mine ? undefined : first
  }
}

const isBefore = (a: Ticket, b: Ticket) => a.since < b.since || (a.since === b.since && a.id < b.id)

/** Milliseconds by a clock that all processes of a machine share, and that is never set. */
const now = () => Number(process.hrtime.bigint()) / 1e6
