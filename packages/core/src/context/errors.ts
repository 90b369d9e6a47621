import { DurableError } from '../errors.js'
import { partingOf } from './divergence.js'
import type { Divergence } from './divergence.js'
import type { StepKind } from './step-kind.js'

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

/**
 * The code of today comes to other steps than the journal of the call has. Nothing of what it asked for was run, nothing was
 * answered, and the call is parked until other code, or an operator, goes on with it.
 */
export class DivergenceError extends DurableError {
  readonly data: Divergence

  constructor(data: Divergence) {
    super(
      'divergence',
      `${partingOf(data)} Nothing was run in its place, and nothing is lost: the call is parked. ${data.refused ? TAKES : FITS} ${TRIES}`,
    )
    this.data = data
  }
}

const FITS =
  'Deploy code that comes to the recorded steps: put what is new or gone behind ctx.patched(), or give a step its old name back.'
const TAKES = 'Deploy code that takes the recorded request.'
const TRIES =
  'A node with another version tries the call by itself; `mcp-durable retry` makes any node try it.'

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

/** The tool runs as a task only, and the client takes none. */
export class TasksNeededError extends DurableError {
  constructor() {
    super(
      'tasks-needed',
      'This tool runs as a task only: its client must speak protocol 2026-07-28 and declare the extension io.modelcontextprotocol/tasks.',
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

/** A call without a session is of nobody who is known, so there is nobody whose state `ctx.state` could be. */
export class NoPrincipalError extends DurableError {
  /** `isClientKnown`: there is auth info, which names the application only. */
  constructor(isClientKnown = false) {
    const why = isClientKnown
      ? 'Of who calls only the application is known (`clientId` of the auth info), which many people may share'
      : 'Nobody is known who calls'
    super(
      'no-principal',
      `${why}, so \`ctx.state\` has nobody to belong to without a session. Set \`principal\` of durable() to what tells ` +
        'your users apart; or create a handle (`ctx.handle.create`) and return its id, which the client passes in later calls.',
    )
  }
}

/** The caller has no handle with this id: there never was one, it is another principal's, or it has expired. */
export class UnknownHandleError extends DurableError {
  constructor() {
    super('unknown-handle', 'There is no such handle: it has expired, or never was yours. Get a new one.')
  }
}

/** The principal has as many handles as it may. */
export class HandleLimitError extends DurableError {
  constructor(most: number) {
    super(
      'handle-limit',
      `This principal has ${most} handles, as many as it may (maxHandlesPerPrincipal). The oldest make room when their time is over.`,
    )
  }
}

/** A change would make the state of a principal, or of a handle, larger than it may be. Nothing was changed. */
export class StateFullError extends DurableError {
  constructor(key: string, maxBytes: number) {
    super(
      'state-full',
      `With this value of ${quote(key)} the state would have more than ${maxBytes} bytes (maxStateBytes). Nothing was changed.`,
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
