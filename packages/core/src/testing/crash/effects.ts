import { currentScope } from '../../context/async-scope.js'
import { ReplayLog } from '../../context/replay-log.js'
import { currentLog } from '../../context/run-context.js'
import type { Step } from '../../context/step.js'

/**
 * Something was done to the world. `idempotencyKey`: what its receiver was given to recognise a repetition by; it does a thing once
 * for each key.
 */
export type Effect = (name: string, idempotencyKey?: string) => void

/** Where an effect was seen; `step`: in whose body, `undefined`: outside of steps. */
type Seen = { key: string | undefined; step: string | undefined }

/** What is known of the run that an effect is seen in. */
export type EffectRun = { readonly isDead: boolean }

/** What a call has done to the world, over all its runs. */
export class Effects {
  readonly #seen = new Map<string, Seen[]>()
  readonly #runOf: (log: unknown) => EffectRun | undefined

  /** `runOf`: the run that the log is of; without one, that which runs now. */
  constructor(runOf: (log: unknown) => EffectRun | undefined) {
    this.#runOf = runOf
  }

  readonly effect: Effect = (name, idempotencyKey) => {
    const log = currentLog()
    // A replay for comparison runs no bodies; what is outside of steps is in all other runs too.
    if (log instanceof ReplayLog || this.#runOf(log)?.isDead) return
    const step = currentScope().step as Step | undefined
    this.#seen.set(name, [...(this.#seen.get(name) ?? []), { key: idempotencyKey, step: step?.id }])
  }

  get names() {
    return [...this.#seen.keys()]
  }

  /** How often an effect has happened: by a receiver that was given a key, once for each key. */
  count(name: string) {
    const seen = this.#seen.get(name) ?? []
    const keys = new Set(seen.flatMap(({ key }) => key ?? []))
    return keys.size + seen.filter(({ key }) => key === undefined).length
  }

  /** Without repetitions. */
  places(name: string): Array<string | undefined> {
    return [...new Set((this.#seen.get(name) ?? []).map(({ step }) => step))]
  }

  hasKeys(name: string) {
    return (this.#seen.get(name) ?? []).some(({ key }) => key !== undefined)
  }
}
