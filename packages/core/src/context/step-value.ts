import { messageOf } from '../errors.js'
import { encodeValue } from './codec.js'
import { StepValueError } from './errors.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import type { Checked } from './standard-schema.js'
import type { Step } from './step.js'

/** A value of a step in its recorded form. Throws a `StepValueError`, as the others here do. */
export function encodeStep({ name }: Step, value: unknown): string {
  try {
    return encodeValue(value)
  } catch (cause) {
    const problem = `cannot be recorded: ${describeUnrecordable(cause)}`
    throw new StepValueError(name, problem, { cause })
  }
}

/** What the step's schema makes of a value; a `StepValueError` if it cannot be asked. */
export function checkStep({ name, check }: Step, value: unknown): MaybePromise<Checked> {
  const fail = (cause: unknown): never => {
    throw new StepValueError(name, `could not be checked: ${messageOf(cause)}`, { cause })
  }
  try {
    const checked = check(value)
    return isPromise(checked) ? checked.catch(fail) : checked
  } catch (cause) {
    return fail(cause)
  }
}

/** The value that was checked, if it fits. */
export function valueOf({ name }: Step, checked: Checked): unknown {
  if ('problem' in checked) throw new StepValueError(name, checked.problem)
  return checked.value
}

/** Where a value has a part that cannot be recorded, and what to do about it. `cause`: what `encodeValue` threw. */
export function describeUnrecordable(cause: unknown): string {
  if (cause instanceof RangeError) return 'it is nested too deeply. Give a flatter one.'
  const { message, path, value } = cause as { message?: unknown; path?: unknown; value?: unknown }
  if (typeof path !== 'string') return String(message ?? cause)
  const where = path === '' ? 'it is' : `at ${path} it has`
  return `${where} ${kindOf(value)}. ${adviceFor(value, path === '')}`
}

function kindOf(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (isThenable(value)) return 'a promise'
  const name = classOf(value)
  return name === '' || name === 'Object' ? 'an object that is not plain' : `an instance of ${name}`
}

function adviceFor(value: unknown, isWhole: boolean): string {
  if (typeof value === 'function' || typeof value === 'symbol') return 'Leave it out.'
  if (isThenable(value)) return 'Await it first.'
  if (value instanceof Error) {
    return isWhole ? 'Throw it, or give its message.' : 'Give its message, or what you need of it.'
  }
  const name = classOf(value)
  if (name === 'Response' || name === 'Request') return 'Give what it holds, such as `await response.json()`.'
  if (name === 'Headers' || name === 'FormData') return 'Give `Object.fromEntries(…)` of it.'
  if (name.endsWith('Stream')) return 'Read it first, and give what it holds.'
  const hasJson = typeof (value as { toJSON?: unknown } | null)?.toJSON === 'function'
  return `Give a plain object in its place, such as ${hasJson ? 'what its `toJSON()` gives' : '`{ ...value }`'}.`
}

/** Those that others extend under a name of their own, as servers do. */
const WEB = new Set(['Response', 'Request', 'Headers', 'FormData'])

function classOf(value: unknown): string {
  try {
    const names = classesOf(value)
    return names.find((name) => WEB.has(name)) ?? names[0] ?? ''
  } catch {
    return ''
  }
}

/** From its own class to the one farthest up. */
function classesOf(value: unknown): string[] {
  const names: string[] = []
  for (
    let of = Object.getPrototypeOf(value) as object | null;
    of;
    of = Object.getPrototypeOf(of) as object | null
  ) {
    const name = (of.constructor as { name?: unknown } | undefined)?.name
    if (typeof name === 'string') names.push(name)
  }
  return names
}

const isThenable = (value: unknown) => typeof (value as { then?: unknown } | null)?.then === 'function'
