import { createHash } from 'node:crypto'
import type { TimeAndChance } from '../../context/time-and-chance.js'

type Alarm = { time: number; action: () => void }

/**
 * Time that stands still until it is advanced, and chance that is the same for a step in every call. What is waited for beside
 * steps is not part of it.
 */
export class VirtualTime implements TimeAndChance {
  readonly patienceMs = 100
  #now: number
  #alarms: Alarm[] = []

  constructor(now: number) {
    this.#now = now
  }

  now() {
    return this.#now
  }

  startAlarm(time: number, action: () => void) {
    const alarm = { time, action }
    if (time <= this.#now) action()
    else this.#alarms.push(alarm)
    return () => this.#remove(alarm)
  }

  /** A pause between attempts takes no time: a step that makes one does something, so time stands still. */
  startPause(_ms: number, action: () => void) {
    const soon = setImmediate(action)
    return () => clearImmediate(soon)
  }

  /** Somebody waits for a time. */
  get isAwaited() {
    return this.#alarms.length > 0
  }

  /** To the next time that somebody waits for. */
  advance() {
    this.#now = Math.max(this.#now, Math.min(...this.#alarms.map(({ time }) => time)))
    for (const alarm of this.#alarms.filter(({ time }) => time <= this.#now)) {
      this.#remove(alarm)
      alarm.action()
    }
  }

  /** Who has waited is gone. */
  forget() {
    this.#alarms = []
  }

  random(step: string) {
    return createHash('sha256').update(step).digest().readUInt32BE() / 2 ** 32
  }

  randomBytes(count: number, step: string) {
    return createHash('sha512').update(step).digest().subarray(0, count)
  }

  #remove(alarm: Alarm) {
    this.#alarms = this.#alarms.filter((other) => other !== alarm)
  }
}
