import { DurableError } from '../errors.js'
import type { CallPlace } from '../session/place.js'

/**
 * Why nothing was done to a run. `run-gone`: there is no such call, or its journal is over. `run-ended`: it has. `run-open`: it has
 * not. `run-awake`: it does not sleep. `run-succeeded`: it has a result. `run-retried`: it is done again by another call. `run-busy`: somebody else acts on it just
 * now. `run-repeats`: what may have been done once would be done again; see `repeat`. `run-foreign`: what it is can't be begun from
 * outside. `run-step`: it can't go on from there. `run-history`: what is done could not be kept in its history. `run-quota`: the call
 * that would be made of it has no place in a quota of open calls.
 */
export type RunRefusal =
  | 'run-gone'
  | 'run-ended'
  | 'run-open'
  | 'run-awake'
  | 'run-succeeded'
  | 'run-retried'
  | 'run-busy'
  | 'run-repeats'
  | 'run-foreign'
  | 'run-step'
  | 'run-history'
  | 'run-quota'

/** A run may not be acted on like this; nothing of it was changed, and nothing begun. */
export class RunRefusedError extends DurableError {
  declare readonly code: RunRefusal
  /** The other call that is meant, of `run-retried` and `run-busy`. */
  readonly call: CallPlace | undefined

  constructor(code: RunRefusal, message: string, call?: CallPlace) {
    super(code, message)
    this.call = call
  }
}
