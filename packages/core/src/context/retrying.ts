import { isDurability } from '../store/durability.js'
import { AtMostOnceFailedBeforeCompleting, StepValueError } from './errors.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import { checkWith } from './standard-schema.js'
import { backoffMs, checkStepOptions, classesOf, mayRetry } from './step-options.js'
import type { Guarantee, StepBody, StepOptions } from './step-options.js'
import type { Step } from './step.js'
import type { Outcome, Steps, StepSpec } from './steps.js'

/** Runs the body until it succeeds or its policy ends; that is recorded. One round trip to the store. */
export function atLeastOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(
    name,
    () => specOf(name, body, options),
    (step, earlier) => {
      // It was at most once when it began; whether it has happened is unknown all the same.
      if (earlier?.phase === 'started') return { error: new AtMostOnceFailedBeforeCompleting(step.name) }
      if (step.durability !== undefined)
        return steps.requireDurability(step.durability).then(() => firstRun(steps, step, body, options))
      return firstRun(steps, step, body, options)
    },
  )
}

function firstRun(
  steps: Steps,
  step: Step,
  body: StepBody<unknown>,
  options: StepOptions,
): MaybePromise<Outcome> {
  const first = steps.attempt(step, body, 1, options.timeoutMs)
  if (isPromise(first)) return first.then((outcome) => untilItEnds(steps, step, body, options, outcome))
  return untilItEnds(steps, step, body, options, first)
}

function untilItEnds(
  steps: Steps,
  step: Step,
  body: StepBody<unknown>,
  options: StepOptions,
  first: Outcome,
): MaybePromise<Outcome> {
  return 'error' in first ? tryAgain(steps, step, body, options, first) : first
}

/** What the body comes to in the end, when it has failed once. */
async function tryAgain(
  steps: Steps,
  step: Step,
  body: StepBody<unknown>,
  options: StepOptions,
  first: Outcome,
): Promise<Outcome> {
  let outcome = first
  for (let attempt = 1; 'error' in outcome; attempt++) {
    // What a stopped body throws says nothing of the step: the next node runs it again.
    steps.lifetime.throwIfAborted()
    const nextMs = nextTry(steps, step, outcome.error, { attempt, guarantee: 'at-least-once', options })
    steps.warnings.failed(step, attempt, outcome.error, nextMs)
    if (nextMs === undefined) break
    await steps.pause(nextMs)
    outcome = await steps.attempt(step, body, attempt + 1, options.timeoutMs)
  }
  return outcome
}

/**
 * Records that the body starts, then runs it: two round trips to the store. A start without an end means that
 * nobody knows what happened, and the body is never run again; an error that is `retryable` takes the start back.
 */
export function atMostOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(
    name,
    () => specOf(name, body, options),
    async (step, earlier) => {
      if (earlier?.phase === 'started') return { error: new AtMostOnceFailedBeforeCompleting(step.name) }
      if (step.durability !== undefined) await steps.requireDurability(step.durability)
      for (let attempt = 1; ; attempt++) {
        let nextMs: number | undefined = 0
        await steps.mark(step, 'started')
        if (!steps.lifetime.aborted) {
          const outcome = await steps.attempt(step, body, attempt, options.timeoutMs)
          if (!('error' in outcome)) return outcome
          const { error } = outcome
          if (error instanceof StepValueError) error.message += AFTER_THE_FACT
          nextMs = nextTry(steps, step, error, { attempt, guarantee: 'at-most-once', options })
          // Thrown by a body that was told to stop: the end is unknown, and the mark says so.
          if (nextMs === undefined) steps.lifetime.throwIfAborted()
          steps.warnings.failed(step, attempt, error, nextMs)
          if (nextMs === undefined) return outcome
        }
        await steps.mark(step, 'cleared')
        await steps.pause(nextMs)
      }
    },
  )
}

const AFTER_THE_FACT = ' The body has run: what it did has happened, and it is not run again.'

type Failed = { attempt: number; guarantee: Guarantee; options: StepOptions }

/** How long to wait before the body is run again; `undefined`: it is not. */
function nextTry(steps: Steps, step: Step, error: unknown, { attempt, guarantee, options }: Failed) {
  try {
    return mayRetry(error, attempt, guarantee, options) ? backoffMs(attempt, options) : undefined
  } catch (thrown) {
    steps.warnings.undecided(step, thrown)
    return undefined
  }
}

/** What can't be run is refused before anything is: a body that is no function, and a schema that would be asked after the effect. */
function specOf(name: string, body: unknown, options: StepOptions): StepSpec {
  if (typeof body !== 'function') {
    const what = isPromise(body) ? 'a promise of something that has begun already' : typeof body
    throw new TypeError(`The body of the step ${JSON.stringify(name)} is a function, not ${what}.`)
  }
  checkStepOptions(name, options)
  const { key, schema, durability } = options
  if (durability !== undefined && !isDurability(durability))
    throw new TypeError(
      `The durability of the step ${JSON.stringify(name)} is 'memory', 'fsync' or 'replicated'.`,
    )
  return { kind: 'body', key, check: checkWith(schema), classes: classesOf(options), durability }
}
