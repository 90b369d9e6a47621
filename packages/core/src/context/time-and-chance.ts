import { randomBytes } from 'node:crypto'
import { startAlarm } from '../timers.js'

/** What differs from run to run unless it is recorded, and what a call waits for beside answers. */
export interface TimeAndChance {
  /** In ms since 1970. */
  now(): number
  /** Calls `action` once it is `time` (ms since 1970). Returns how to call it off. */
  startAlarm(time: number, action: () => void): () => void
  /** Calls `action` after `ms`, before the next attempt of a step. Returns how to call it off. */
  startPause(ms: number, action: () => void): () => void
  /** For how long a run waits at least for a step that was recorded and is not begun; see `SettleOrder`. */
  readonly patienceMs: number
  /** For a step, by its id; from 0 up to but without 1. */
  random(step: string): number
  randomBytes(count: number, step: string): Uint8Array
}

export const realTimeAndChance: TimeAndChance = {
  now: () => Date.now(),
  startAlarm,
  startPause: (ms, action) => startAlarm(Date.now() + ms, action),
  patienceMs: 1000,
  random: () => Math.random(),
  randomBytes: (count) => randomBytes(count),
}
