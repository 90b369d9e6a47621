import { DurableError, StoreError, textOf } from '../errors.js'
import { decodeValue, encodeValue, isEncodable } from './codec.js'
import * as contextErrors from './errors.js'

/** A class of errors that a step may throw. */
export type ErrorClass = abstract new (...args: never[]) => Error

type Recorded = {
  /** Names of its class and of that one's ancestors below `Error`, nearest first. */
  classes: string[]
  name: string
  message: string
  code?: string | number
  data?: unknown
  cause?: { error: Recorded } | { value: unknown }
  errors?: Recorded[]
}

const MAX_CAUSES = 5
const MAX_ANCESTORS = 8
const MAX_ERRORS = 16

const builtIn: readonly ErrorClass[] = [
  ...Object.values<ErrorClass>(contextErrors),
  StoreError,
  DurableError,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
  DOMException,
]

/**
 * What a step threw, as it is recorded: name, message, code, data, causes and class names. The rest of an error,
 * such as its stack and further members, is not kept; so is data that has no recorded form.
 */
export function encodeError(thrown: unknown): string {
  return encodeValue(toRecorded(thrown, MAX_CAUSES))
}

/** The error again. It is an instance of the nearest of its classes that `known` or the built-in ones have by name. */
export function decodeError(text: string, known: readonly ErrorClass[]): Error {
  return revive(decodeValue(text) as Recorded, [...known, ...builtIn])
}

function toRecorded(thrown: unknown, depth: number): Recorded {
  if (!(thrown instanceof Error)) return thrownValue(thrown)
  const { code, data, cause } = thrown as { code?: unknown; data?: unknown; cause?: unknown }
  return {
    classes: classNames(thrown),
    name: thrown.name,
    message: thrown.message,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(data !== undefined && isEncodable(data) && { data }),
    ...(depth > 0 && causeOf(cause, depth - 1)),
    ...(depth > 0 && thrown instanceof AggregateError && { errors: errorsOf(thrown, depth - 1) }),
  }
}

function thrownValue(thrown: unknown): Recorded {
  const { name } = contextErrors.RecordedError
  return { classes: [name], name, message: textOf(thrown), ...(isEncodable(thrown) && { data: thrown }) }
}

function causeOf(cause: unknown, depth: number): Pick<Recorded, 'cause'> {
  if (cause instanceof Error) return { cause: { error: toRecorded(cause, depth) } }
  return cause !== undefined && isEncodable(cause) ? { cause: { value: cause } } : {}
}

function errorsOf({ errors }: AggregateError, depth: number): Recorded[] {
  return errors.slice(0, MAX_ERRORS).map((error) => toRecorded(error, depth))
}

function classNames(error: Error): string[] {
  const names: string[] = []
  let prototype = Object.getPrototypeOf(error) as object | null
  while (prototype && prototype !== Error.prototype && names.length < MAX_ANCESTORS) {
    names.push(prototype.constructor.name)
    prototype = Object.getPrototypeOf(prototype) as object | null
  }
  return names.filter((name) => name !== '')
}

/** Made by hand, because a constructor may want anything, and may do anything. */
function revive(recorded: Recorded, known: readonly ErrorClass[]): Error {
  const error = new Error(recorded.message)
  const Class = classOf(recorded, known)
  if (Class) Object.setPrototypeOf(error, Class.prototype as object)
  define(error, 'name', recorded.name, false)
  const code = recorded.code ?? (Class === contextErrors.RecordedError ? 'recorded' : undefined)
  if (code !== undefined) define(error, 'code', code)
  if ('data' in recorded) define(error, 'data', recorded.data)
  if (recorded.cause) define(error, 'cause', reviveCause(recorded.cause, known), false)
  if (recorded.errors) {
    const errors = recorded.errors.map((one) => revive(one, known))
    define(error, 'errors', errors, false)
  }
  return error
}

function reviveCause(cause: NonNullable<Recorded['cause']>, known: readonly ErrorClass[]) {
  return 'error' in cause ? revive(cause.error, known) : cause.value
}

function classOf({ classes }: Recorded, known: readonly ErrorClass[]): ErrorClass | undefined {
  if (classes.length === 0) return undefined
  for (const name of classes) {
    const found = known.find((candidate) => candidate.name === name)
    if (found) return found
  }
  return contextErrors.RecordedError
}

function define(error: Error, key: string, value: unknown, enumerable = true) {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true })
}
