import { checkMs, checkNumber } from '../check-ms.js'
import { checkNames } from '../known-options.js'
import type { ErrorClass } from './error-codec.js'
import { checkMatchers, listed, matches } from './error-matchers.js'
import type { ErrorMatcher } from './error-matchers.js'
import { DuplicateStepError, NestedStepError, StepValueError } from './errors.js'
import type { Durability } from '../store/durability.js'
import type { StandardSchema } from './standard-schema.js'

/** What the body of a step is told. */
export type StepRun = {
  /** The same in every run and attempt of this step, and in no other step: for services that refuse to do a thing twice. */
  idempotencyKey: string
  /** Fires on a time-out of this attempt, when the call is cancelled or moved, and when its handler has ended. */
  signal: AbortSignal
  /** 1 for the first attempt of this run, then counting up. */
  attempt: number
}
export type StepBody<T> = (run: StepRun) => T | Promise<T>

export type StepKey = {
  /** Tells steps of the same name apart, such as those of a loop. */
  key?: string | number
}

/** How a step is named, checked and tried again. Times in milliseconds. */
export type StepOptions<Schema extends StandardSchema | undefined = StandardSchema | undefined> = StepKey & {
  /** What the value must fit, on the first run and on every replay; it is returned as the schema gives it back. */
  schema?: Schema
  /** How often the body may be run in one run of the call. Default: 10. */
  attempts?: number
  backoff?: Partial<Backoff>
  /** At least once: retry only these; default: all but mistakes in the code, see `isProgrammingError`. At most once: an error that says the body took no effect; nothing else is retried. */
  retryable?: ErrorMatcher
  /** Never retry these, whatever `retryable` says. */
  nonRetryable?: ErrorMatcher
  /** Further classes that a recorded error should be an instance of again. */
  errors?: readonly ErrorClass[]
  /** For each attempt. Default: none. */
  timeoutMs?: number
  /**
   * Of what is recorded of it: its end, and at most once its start, before which the body is not run. Where that can't be had, the
   * step throws a `StoreError`, and the body is not run. Default: as the store is set.
   */
  durability?: Durability
}

/** Attempt n+1 follows `initialMs * factor^(n-1)`, at most `maxMs`, less a random part of up to `jitter` (0 to 1). */
export type Backoff = { initialMs: number; factor: number; maxMs: number; jitter: number }

const DEFAULT_ATTEMPTS = 10
const RETRIES = ['attempts', 'backoff', 'retryable', 'nonRetryable']
const NAMES = ['key', 'schema', ...RETRIES, 'errors', 'timeoutMs', 'durability']
const BACKOFF_NAMES = ['initialMs', 'factor', 'maxMs', 'jitter']
const NO_CLASSES: readonly ErrorClass[] = []

export type Guarantee = 'at-least-once' | 'at-most-once'

/** Throws a `TypeError` if there is no option of such a name, or it can't have that value. */
export function checkStepOptions(step: string, options: StepOptions) {
  checkNames(`The step "${step}"`, options, NAMES)
  checkMatchers(step, options)
  const { timeoutMs, backoff } = options
  const of = `of the step "${step}"`
  if (timeoutMs !== undefined) checkMs(`\`timeoutMs\` ${of}`, timeoutMs)
  if (backoff === undefined) return
  checkNames(`The \`backoff\` ${of}`, backoff, BACKOFF_NAMES)
  for (const [name, value] of Object.entries(backoff))
    if (value !== undefined) checkNumber(`\`backoff.${name}\` ${of}`, value, 'a number')
}

/** Whether the body is run again after attempt number `attempt` has thrown. */
export function mayRetry(error: unknown, attempt: number, guarantee: Guarantee, options: StepOptions) {
  const { attempts = DEFAULT_ATTEMPTS, retryable, nonRetryable } = options
  if (!(attempt < attempts) || isMisuse(error)) return false
  if (nonRetryable && matches(error, nonRetryable)) return false
  if (retryable) return matches(error, retryable)
  return guarantee === 'at-least-once' && !(error instanceof StepValueError) && !isProgrammingError(error)
}

/** How long to wait after attempt number `attempt`. */
export function backoffMs(attempt: number, options: StepOptions): number {
  const { initialMs = 100, factor = 2, maxMs = 30_000, jitter = 0.5 } = options.backoff ?? {}
  return Math.min(initialMs * factor ** (attempt - 1), maxMs) * (1 - jitter * Math.random())
}

/** The classes a step knows, for its recorded errors to be instances of. */
export function classesOf({ errors, retryable, nonRetryable }: StepOptions): readonly ErrorClass[] {
  if (!errors && !retryable && !nonRetryable) return NO_CLASSES
  return [...listed(errors), ...listed(retryable), ...listed(nonRetryable)]
}

/** Mistakes in the code of the handler, which no retry mends. */
const isMisuse = (error: unknown) => error instanceof DuplicateStepError || error instanceof NestedStepError

/** What a failed `fetch` is, in browsers and other runtimes; that of Node.js has the error of the socket as its cause as well. */
const NETWORK =
  /^(fetch failed|failed to fetch|load failed|networkerror|terminated|error sending request|error reading a body|connection )/i

/**
 * What the language itself throws at a mistake in the code, which the next attempt makes again: a `TypeError` or
 * `ReferenceError`, and a `SyntaxError`. Not the `TypeError` of a failed `fetch`, nor the `SyntaxError` of an answer that is
 * not JSON, such as the page of a proxy: those may pass, but that of a URL that is none doesn't. A `RangeError` may come from data. Subclasses are an application's own.
 */
function isProgrammingError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.constructor === ReferenceError) return true
  if (error.constructor === SyntaxError) return !/JSON/.test(error.message)
  if (error.constructor !== TypeError || NETWORK.test(error.message)) return false
  return error.cause === undefined || isProgrammingError(error.cause)
}
