import type { Settling } from './settle-order.js'
import type { TimeAndChance } from './time-and-chance.js'

/** The next alarm waits for what `action` resolves to. */
type Action = () => void | Promise<unknown>
type Alarm = { deadline: number; notBefore: number; action: Action }

/**
 * The deadlines of one run of a call: times to wake, and time limits of questions. They go off in the order of their
 * deadlines, also when several have passed while no node ran the call, and not before their turn among the steps.
 */
export class Alarms {
  /** By deadline, the next one first. */
  readonly #alarms: Alarm[] = []
  readonly #time: TimeAndChance
  readonly #enqueue: (turn: Settling) => void
  #callOff: (() => void) | undefined
  #isGoingOff = false

  /** `enqueue`: where what has gone off waits for its turn. */
  constructor(time: TimeAndChance, enqueue: (turn: Settling) => void) {
    this.#time = time
    this.#enqueue = enqueue
  }

  /** Calls `action` after `deadline` (ms since 1970), and after `notBefore`; what is no number is up. Returns how to call it off. */
  add(deadline: number, action: Action, notBefore = 0): () => void {
    const alarm = { deadline: deadline || 0, notBefore: notBefore || 0, action }
    const before = this.#alarms.findLastIndex((other) => other.deadline <= alarm.deadline)
    this.#alarms.splice(before + 1, 0, alarm)
    this.#set()
    return () => this.#remove(alarm)
  }

  stop() {
    this.#alarms.length = 0
    this.#set()
  }

  #remove(alarm: Alarm) {
    const place = this.#alarms.indexOf(alarm)
    if (place >= 0) this.#alarms.splice(place, 1)
    if (place === 0) this.#set()
  }

  #set() {
    this.#callOff?.()
    const [next] = this.#alarms
    const goOff = () => this.#enqueue({ settle: () => void this.#goOff() })
    this.#callOff = next && this.#time.startAlarm(timeOf(next), goOff)
  }

  async #goOff() {
    if (this.#isGoingOff) return
    this.#isGoingOff = true
    while (this.#alarms[0] && timeOf(this.#alarms[0]) <= this.#time.now())
      await this.#alarms.shift()?.action()
    this.#isGoingOff = false
    this.#set()
  }
}

const timeOf = ({ deadline, notBefore }: Alarm) => Math.max(deadline, notBefore)
