import { checkMs } from '../check-ms.js'
import { isObject } from '../json-rpc.js'
import { checkGiven, checkNames } from '../known-options.js'
import type { CallLog, StepKind } from './call-log.js'
import { checkElicitation, checkRoots, checkSampling } from './answers.js'
import { ClientCapabilityError, QuestionRefusedError, StepTimeoutError } from './errors.js'
import { checkWith } from './standard-schema.js'
import type { Check, StandardSchema } from './standard-schema.js'
import type { StepKey } from './step-options.js'
import type { Step } from './step.js'
import type { Outcome, Steps } from './steps.js'

/** `timeoutMs` counts from when the question was first asked, over all nodes; the client is told then. Default: as long as the call lives. */
export type QuestionOptions = StepKey & { timeoutMs?: number }
export type ElicitOptions<Schema extends StandardSchema | undefined = StandardSchema | undefined> =
  QuestionOptions & {
    /** What the content of an accepted answer must fit; it is returned as the schema gives it back. */
    schema?: Schema
  }

/** `elicitation/create`, a form or a URL (specification 2025-11-25, "Elicitation"). */
export type ElicitParams =
  | { mode?: 'form'; message: string; requestedSchema: RequestedSchema; _meta?: Record<string, unknown> }
  | { mode: 'url'; message: string; url: string; elicitationId: string; _meta?: Record<string, unknown> }
/** A JSON Schema of a flat object of strings, numbers, booleans and choices. */
export type RequestedSchema = {
  type: 'object'
  properties: Record<string, object>
  required?: string[]
  [key: string]: unknown
}
/** `sampling/createMessage` (specification 2025-11-25, "Sampling"). */
export type SampleParams = {
  messages: { role: 'user' | 'assistant'; content: object; [key: string]: unknown }[]
  maxTokens: number
  [key: string]: unknown
}

const NAMES = ['key', 'timeoutMs']

type Question = {
  kind: StepKind
  method: string
  params?: Record<string, unknown>
  check: Check
}

/** An answer may have arrived while nobody ran the call; it is looked for even if its time is up. */
const LOOK_FOR_ANSWER_MS = 1000

/**
 * Questions to the client. Each is a step: asked once and answered once, in whichever run; a refusal or a time-out is
 * recorded like what any step throws, and the client is told of a time-out by `notifications/cancelled`.
 */
export class Questions {
  readonly #log: CallLog
  readonly #steps: Steps

  constructor(log: CallLog, steps: Steps) {
    this.#log = log
    this.#steps = steps
  }

  async elicit(name: string, params: ElicitParams, options: ElicitOptions) {
    checkGiven(
      isObject(params),
      'elicit() takes what it asks: elicit(name, { message, requestedSchema })',
      params,
    )
    checkNames(`The question "${name}"`, options, [...NAMES, 'schema'])
    const requested = params.mode === 'url' ? undefined : params.requestedSchema
    const check = checkElicitation(requested, checkWith(options.schema))
    return this.#ask(name, { kind: 'elicit', method: 'elicitation/create', params, check }, options)
  }

  async sample(name: string, params: SampleParams, options: QuestionOptions) {
    checkGiven(isObject(params), 'sample() takes what it asks: sample(name, { messages, maxTokens })', params)
    checkNames(`The question "${name}"`, options, NAMES)
    const question = {
      kind: 'sample',
      method: 'sampling/createMessage',
      params,
      check: checkSampling,
    } as const
    return this.#ask(name, question, options)
  }

  async listRoots(name: string, options: QuestionOptions) {
    checkNames(`The question "${name}"`, options, NAMES)
    return this.#ask(name, { kind: 'listRoots', method: 'roots/list', check: checkRoots }, options)
  }

  async #ask(name: string, { kind, check, ...question }: Question, options: QuestionOptions) {
    const { key, timeoutMs } = options
    this.#steps.guard(name)
    const capability = capabilityFor(question)
    // Not recorded: what the client can do is the same in every run.
    if (!hasCapability(this.#log.clientCapabilities, capability)) {
      this.#log.lacks?.(capability)
      throw new ClientCapabilityError(name, capability)
    }
    const specOf = () => {
      if (timeoutMs !== undefined) checkMs(`\`timeoutMs\` of the question ${JSON.stringify(name)}`, timeoutMs)
      return { key, kind, check }
    }
    return this.#steps.run(name, specOf, async (step) => {
      const outcome = await this.#answer(step, question, timeoutMs)
      this.#steps.lifetime.throwIfAborted()
      return outcome
    })
  }

  async #answer(step: Step, question: { method: string }, timeoutMs: number | undefined): Promise<Outcome> {
    const timeUp = new AbortController()
    let callOff: () => void = () => undefined
    let until = Number.POSITIVE_INFINITY
    if (timeoutMs !== undefined) {
      const late = () => {
        timeUp.abort(new StepTimeoutError(step.name, timeoutMs))
        return step.promise.catch(() => undefined)
      }
      const { deadline, isOld } = await this.#steps.deadline(step, timeoutMs)
      callOff = this.#steps.alarm(
        deadline,
        late,
        isOld ? this.#steps.timeAndChance.now() + LOOK_FOR_ANSWER_MS : undefined,
      )
      until = deadline
    }
    step.waitsUntil = until
    try {
      const answer = await this.#log.ask(step.id, question, timeUp.signal)
      step.waitsUntil = undefined
      if ('result' in answer) return await this.#steps.outcome(step, answer.result)
      return { error: new QuestionRefusedError(step.name, answer.error) }
    } catch (error) {
      step.waitsUntil = undefined
      if (!timeUp.signal.aborted) return { error }
      // Before the time-out is recorded: a run that finds it there asks nothing, and takes nothing back.
      const late = timeUp.signal.reason as StepTimeoutError
      await this.#log.withdraw(step.id, late.message)
      return { error: late }
    } finally {
      callOff()
    }
  }
}

/** What a client must have declared to be asked this. */
export function capabilityFor({ method, params = {} }: { method: string; params?: Record<string, unknown> }) {
  switch (method) {
    case 'elicitation/create':
      return params['mode'] === 'url' ? 'elicitation.url' : 'elicitation.form'
    case 'sampling/createMessage':
      return params['tools'] || params['toolChoice'] ? 'sampling.tools' : 'sampling'
    default:
      return 'roots'
  }
}

/** An `elicitation` that names no mode means forms (specification 2025-11-25, "Elicitation: Capabilities"). */
export function hasCapability(capabilities: Record<string, unknown>, capability: string): boolean {
  const [feature = '', part] = capability.split('.')
  const declared = capabilities[feature]
  if (typeof declared !== 'object' || declared === null) return false
  if (part === undefined || part in declared) return true
  return part === 'form' && !('url' in declared)
}
