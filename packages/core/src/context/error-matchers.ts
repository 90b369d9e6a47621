import { shown } from '../known-options.js'
import type { ErrorClass } from './error-codec.js'
import { isPromise } from './maybe-promise.js'

/** Errors, by class or by a question about them. */
export type ErrorMatcher = readonly ErrorClass[] | ((error: unknown) => boolean)
type Matchers = { errors?: unknown; retryable?: unknown; nonRetryable?: unknown }

const LIST = 'It must be a list of classes, as in [RefusedError]'
const LIST_OR_FUNCTION = `${LIST}, or a function that says true or false at once, as in (error) => error?.code === 503`

/** Throws what a function throws, and if it says neither: a promise, say, is no yes. */
export function matches(thrown: unknown, matcher: ErrorMatcher): boolean {
  if (typeof matcher !== 'function') return matcher.some((candidate) => thrown instanceof candidate)
  const answer: unknown = matcher(thrown)
  if (!answer || answer === true) return answer === true
  if (isPromise(answer)) answer.then(undefined, () => undefined)
  throw new TypeError(`The function answered with ${shown(answer)}. ${LIST_OR_FUNCTION}.`)
}

export const listed = (matcher: ErrorMatcher | undefined) => (typeof matcher === 'object' ? matcher : [])

/** Throws a `TypeError` at what no error can be matched with: a body whose error can't be judged is better not run at all. */
export function checkMatchers(step: string, { errors, retryable, nonRetryable }: Matchers) {
  const of = `of the step ${JSON.stringify(step)}`
  if (errors && !isList(errors)) throw new TypeError(`\`errors\` ${of} is ${named(errors)}. ${LIST}.`)
  for (const [name, matcher] of Object.entries({ retryable, nonRetryable }))
    if (matcher && !isList(matcher) && !isQuestion(matcher))
      throw new TypeError(`\`${name}\` ${of} is ${named(matcher)}. ${LIST_OR_FUNCTION}.`)
}

const isList = (matcher: unknown) => Array.isArray(matcher) && matcher.every(isClass)
const isClass = (value: unknown) => typeof value === 'function' && typeof value.prototype === 'object'

/** An error class that is called makes an error, which is no answer; or throws. */
const isErrorClass = (value: Function) => value === Error || value.prototype instanceof Error
const isQuestion = (matcher: unknown) =>
  typeof matcher === 'function' && !isErrorClass(matcher) && !isAsync(matcher)
const isAsync = (value: Function) => Object.prototype.toString.call(value) === '[object AsyncFunction]'

function named(matcher: unknown): string {
  if (Array.isArray(matcher)) return `a list with ${shown(matcher.find((each) => !isClass(each)))} in it`
  if (typeof matcher !== 'function') return shown(matcher)
  if (isErrorClass(matcher)) return `the class ${matcher.name}`
  return isAsync(matcher) ? 'an async function' : 'a function'
}
