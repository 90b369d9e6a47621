import { AtMostOnceFailedBeforeCompleting } from './errors.js'
import { isPromise } from './maybe-promise.js'
import { checkWith } from './standard-schema.js'
import { backoffMs, classesOf, mayRetry } from './step-options.js'
import type { StepBody, StepOptions } from './step-options.js'
import type { Steps } from './steps.js'
import { sleepUntil } from './timers.js'

/** Runs the body until it succeeds or its policy ends; records that. One round trip to the store. */
export function atLeastOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(name, specOf(options), async (step) => {
    for (let attempt = 1; ; attempt++) {
      const tried = steps.attempt(step, body, attempt, options.timeoutMs)
      const outcome = isPromise(tried) ? await tried : tried
      if (!('error' in outcome)) {
        await steps.record(step, outcome)
        return outcome.value
      }
      // What a stopped body throws says nothing of the step: the next node runs it again.
      steps.signal.throwIfAborted()
      if (!mayRetry(outcome.error, attempt, 'at-least-once', options)) return steps.fail(step, outcome.error)
      await sleepUntil(Date.now() + backoffMs(attempt, options), steps.signal)
    }
  })
}

/**
 * Records that the body starts, then runs it: two round trips to the store. A start without an end means that
 * nobody knows what happened, and the body is never run again; an error that is `retryable` takes the start back.
 */
export function atMostOnce(steps: Steps, name: string, body: StepBody<unknown>, options: StepOptions) {
  return steps.run(name, specOf(options), async (step, earlier) => {
    if (earlier?.phase === 'started') return steps.fail(step, new AtMostOnceFailedBeforeCompleting(step.name))
    for (let attempt = 1; ; attempt++) {
      await steps.mark(step, 'started')
      if (!steps.signal.aborted) {
        const outcome = await steps.attempt(step, body, attempt, options.timeoutMs)
        if (!('error' in outcome)) return steps.end(step, outcome)
        if (!mayRetry(outcome.error, attempt, 'at-most-once', options)) {
          // Thrown by a body that was told to stop: the end is unknown, and the mark says so.
          steps.signal.throwIfAborted()
          return steps.fail(step, outcome.error)
        }
      }
      await steps.mark(step, 'cleared')
      await sleepUntil(Date.now() + backoffMs(attempt, options), steps.signal)
    }
  })
}

const specOf = (options: StepOptions) => ({
  key: options.key,
  check: checkWith(options.schema),
  classes: classesOf(options),
})
