import { AtMostOnceFailedBeforeCompleting } from './errors.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import { checkWith } from './standard-schema.js'
import { backoffMs, classesOf, mayRetry } from './step-options.js'
import type { StepBody, StepOptions } from './step-options.js'
import type { Step } from './step.js'
import type { Outcome, Steps } from './steps.js'
import { sleepUntil } from './timers.js'

/** Runs the body until it succeeds or its policy ends; that is recorded. One round trip to the store. */
export function atLeastOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(name, specOf(options), (step, earlier) => {
    // It was at most once when it began; whether it has happened is unknown all the same.
    if (earlier?.phase === 'started') return { error: new AtMostOnceFailedBeforeCompleting(step.name) }
    const first = steps.attempt(step, body, 1, options.timeoutMs)
    if (isPromise(first)) return first.then((outcome) => untilItEnds(steps, step, body, options, outcome))
    return untilItEnds(steps, step, body, options, first)
  })
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
    if (!mayRetry(outcome.error, attempt, 'at-least-once', options)) break
    await sleepUntil(Date.now() + backoffMs(attempt, options), steps.lifetime.signal)
    outcome = await steps.attempt(step, body, attempt + 1, options.timeoutMs)
  }
  return outcome
}

/**
 * Records that the body starts, then runs it: two round trips to the store. A start without an end means that
 * nobody knows what happened, and the body is never run again; an error that is `retryable` takes the start back.
 */
export function atMostOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(name, specOf(options), async (step, earlier) => {
    if (earlier?.phase === 'started') return { error: new AtMostOnceFailedBeforeCompleting(step.name) }
    for (let attempt = 1; ; attempt++) {
      await steps.mark(step, 'started')
      if (!steps.lifetime.aborted) {
        const outcome = await steps.attempt(step, body, attempt, options.timeoutMs)
        if (!('error' in outcome)) return outcome
        if (!mayRetry(outcome.error, attempt, 'at-most-once', options)) {
          // Thrown by a body that was told to stop: the end is unknown, and the mark says so.
          steps.lifetime.throwIfAborted()
          return outcome
        }
      }
      await steps.mark(step, 'cleared')
      await sleepUntil(Date.now() + backoffMs(attempt, options), steps.lifetime.signal)
    }
  })
}

const specOf = (options: StepOptions) => ({
  kind: 'body' as const,
  key: options.key,
  check: checkWith(options.schema),
  classes: classesOf(options),
})
