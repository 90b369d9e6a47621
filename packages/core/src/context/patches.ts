import { encodeValue } from './codec.js'
import { patchOf, patchedIn } from './call-log.js'
import type { CallLog } from './call-log.js'
import { checkName } from './step-name.js'
import type { Steps } from './steps.js'

const NOBODY = { resolve: () => undefined, reject: () => undefined }

/**
 * Which changes of its code a call goes through.
 *
 * Invariant: what a run was told, every later run is told. The record is written before that of any step that follows from it, so
 * nobody waits for it: what is lost with it had led to nothing that is recorded.
 */
export class Patches {
  readonly #log: CallLog
  readonly #steps: Steps
  readonly #asked = new Map<string, boolean>()

  constructor(log: CallLog, steps: Steps) {
    this.#log = log
    this.#steps = steps
  }

  /** Throws as the begin of a step does. */
  has(name: string): boolean {
    checkName('patch', name)
    this.#steps.guard(name)
    const id = patchOf(name)
    const known = this.#asked.get(id) ?? patchedIn(this.#log.step(id))
    const isPatched = known ?? !this.#log.goesBeyond(new Set([...this.#steps.begun, ...this.#asked.keys()]))
    this.#asked.set(id, isPatched)
    if (known === undefined) this.#log.record({ id, phase: 'done', value: encodeValue(isPatched) }, NOBODY)
    return isPatched
  }
}
