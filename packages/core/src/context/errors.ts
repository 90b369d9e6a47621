import { DurableError } from '../errors.js'
import type { StepKind } from './call-log.js'

const quote = (text: string) => JSON.stringify(text)

/** Something is wrong with one step of a call. `data` survives recording, and `data.step` is the step's name. */
export class StepError extends DurableError {
  readonly data: { readonly step: string; readonly [key: string]: unknown }

  constructor(
    code: string,
    message: string,
    data: { readonly step: string; readonly [key: string]: unknown },
    options?: ErrorOptions,
  ) {
    super(code, message, options)
    this.data = data
  }

  get step() {
    return this.data.step
  }
}

/** Two steps of one run have the same name and key, so that their records cannot be told apart. */
export class DuplicateStepError extends StepError {
  constructor(step: string, kind: StepKind) {
    const remedy =
      kind === 'state'
        ? 'Name the change: { name: "…" }.'
        : 'Give one of them another name, or tell them apart by { key }.'
    super('duplicate-step', `The step ${quote(step)} was used before in this call. ${remedy}`, { step })
  }
}

/** A step was begun in the body of another one; its record would be skipped when the outer step is replayed. */
export class NestedStepError extends StepError {
  constructor(step: string, outer: string) {
    super(
      'nested-step',
      `The step ${quote(step)} was begun inside the step ${quote(outer)}. Begin it before or after that one.`,
      { step, outer },
    )
  }
}

/** The value of a step cannot be recorded, or does not fit its schema. */
export class StepValueError extends StepError {
  constructor(step: string, problem: string, options?: ErrorOptions) {
    super('step-value', `The value of the step ${quote(step)} ${problem}`, { step }, options)
  }
}

/** An attempt of a step, or a question, took longer than its `timeoutMs`. What it had done by then is unknown. */
export class StepTimeoutError extends StepError {
  constructor(step: string, timeoutMs: number) {
    super('step-timeout', `The step ${quote(step)} did not end within ${timeoutMs} ms.`, { step, timeoutMs })
  }
}

const METHODS: Record<StepKind, string> = {
  body: 'ctx.atLeastOnce() or ctx.atMostOnce()',
  elicit: 'ctx.elicit()',
  listRoots: 'ctx.listRoots()',
  now: 'ctx.now()',
  random: 'ctx.random()',
  sample: 'ctx.sample()',
  sleep: 'ctx.sleep()',
  state: 'a change of ctx.state',
  uuid7: 'ctx.uuid7()',
}

/** The code of today has another kind of step under a name that an earlier run of the call has used, before a deploy. */
export class StepChangedError extends StepError {
  constructor(step: string, was: StepKind, is: StepKind) {
    super(
      'step-changed',
      `The step ${quote(step)} was ${METHODS[was]} in an earlier run of this call, and is ${METHODS[is]} now. ` +
        'What was recorded is kept and not given out, and nothing was run. Give the new step another name.',
      { step, was, is },
    )
  }
}

/** An at-most-once step began on a node that did not live to record its end. Whether it took effect is unknown. */
export class AtMostOnceFailedBeforeCompleting extends StepError {
  constructor(step: string) {
    super(
      'at-most-once-failed',
      `The step ${quote(step)} began, and its node ended before it did. It may or may not have taken effect, and is not run again.`,
      { step },
    )
  }
}

/** The client answered a question with an error; `data.error` is the JSON-RPC error. */
export class QuestionRefusedError extends StepError {
  constructor(step: string, error: { code: number; message: string; data?: unknown }) {
    super('question-refused', `The client refused the question ${quote(step)}: ${error.message}`, {
      step,
      error,
    })
  }
}

/** The client cannot be asked this; it said so in its `initialize`. */
export class ClientCapabilityError extends StepError {
  constructor(step: string, capability: string) {
    super(
      'client-capability',
      `The question ${quote(step)} needs the client capability ${capability}, which this client does not have.`,
      { step, capability },
    )
  }
}

/** A recorded error whose class is not known to the step: it has its name, message, code, data and cause. */
export class RecordedError extends DurableError {
  readonly data?: unknown
}

/** The call was cancelled, has moved to another node, or has ended: nothing more is done for it here. */
export class CallStoppedError extends DurableError {
  constructor(reason: string, options?: ErrorOptions) {
    super('call-stopped', `Nothing more is done here for this call: ${reason}`, options)
  }
}

/** A replay for comparison came to something that is not in the log, and has stopped there. */
export class ReplayDivergedError extends DurableError {
  constructor() {
    super('replay-diverged', 'The replay does not follow its log; it has stopped here.')
  }
}

/** There is no durable context here. */
export class NoContextError extends DurableError {
  constructor(message: string) {
    super('no-context', message)
  }
}

/** A stored value cannot be read, or does not fit its schema. */
export class StateValueError extends DurableError {
  constructor(key: string, problem: string, options?: ErrorOptions) {
    super('state-value', `The state ${quote(key)} ${problem}`, options)
  }
}

/** Others changed a value again and again between our reading and writing it. */
export class StateConflictError extends DurableError {
  constructor(key: string, tries: number) {
    super('state-conflict', `The state ${quote(key)} was changed by others ${tries} times in a row.`)
  }
}

/** There is no such scope (any more), so it can hold no values. */
export class UnknownScopeError extends DurableError {
  constructor() {
    super('unknown-scope', 'The session does not exist any more; its state cannot be changed.')
  }
}

/** The call has no session, and so no state of one. */
export class NoSessionError extends DurableError {
  constructor() {
    super(
      'no-session',
      'A call in protocol 2026-07-28 has no session, so `ctx.state` has nothing to belong to. Keep the value in a sorted map, under an id that the caller passes.',
    )
  }
}

/** A map was changed twice in one call, and the changes cannot be told apart when the call is run again. */
export class MapChangedTwiceError extends DurableError {
  constructor(map: string, alias: string) {
    super(
      'map-changed-twice',
      alias === ''
        ? `The map ${quote(map)} was changed before in this call. Give each change an alias: map.idempotently('…').`
        : `The alias ${quote(alias)} was used before for the map ${quote(map)} in this call. Aliases must differ.`,
    )
  }
}
