import { checkGiven, checkNames } from '../known-options.js'
import type { StoredValue } from '../store/context-store.js'
import { decodeValue, encodeValue } from './codec.js'
import { StateConflictError, StateValueError } from './errors.js'
import { checkText } from './map-keys.js'
import { checkWith } from './standard-schema.js'
import type { Check, InferInput, InferOutput, StandardSchema } from './standard-schema.js'
import { describeUnrecordable } from './step-value.js'

/**
 * One value of a state, shared by all calls that have the state, on every node. Any value that a step can have; `undefined`:
 * none.
 *
 * `get` reads what is there now and is not memoized: when a call is run again it may read something else. A handler
 * that branches on it wraps the read in a step, or decides inside `update`.
 *
 * In a call every change is a step and applies exactly once. Changes of one value are made one after the other, whichever calls
 * and nodes they come from: each is made of the value that it replaces. The first change of a key needs no name; its step is
 * then named after the key. Further ones in the same call do: automatic names that count would shift when the code is
 * edited, and a call that is taken over by the new code would skip the wrong change.
 */
export interface SessionState<In = unknown, Out = In> {
  /** The value, as the schema gives it back. */
  get(): Promise<Out | undefined>
  /** Replaces the value, whatever it is; `undefined` deletes it. */
  set(value: In | undefined, options?: ChangeOptions): Promise<void>
  /**
   * Replaces the value by what `change` makes of it, and resolves to that. `change` is called again when another call
   * came between, so it should have no effects of its own; what it throws is recorded like any error of a step.
   */
  update(
    change: (current: Out | undefined) => In | undefined | Promise<In | undefined>,
    options?: ChangeOptions,
  ): Promise<Out | undefined>
  /** Another value of the same state. */
  of<Schema extends StandardSchema>(
    key: string,
    options: { schema: Schema },
  ): SessionState<InferInput<Schema>, InferOutput<Schema>>
  of(key: string): SessionState
}

/** `name`: the name of the step that the change is. Default: `state` and the key. */
export type ChangeOptions = { name?: string }

/** Makes one change by compare-and-set and resolves to the new value. `name` is for where it is recorded. */
export type Writer = (
  place: Place,
  name: string | undefined,
  change: (current: unknown) => unknown,
) => Promise<unknown>

/** A new value, in the form in which it is stored and as it is given out; `data` is `undefined` for none. */
export type Prepared = { encoded: string; data: string | undefined; value: unknown }
/** A change of the value that has this version. */
export type Change = Prepared & { version: number }

const DEFAULT_KEY = 'default'
const MOST_TRIES = 100

/** Tries until a change was made of the value that it replaces; `conflict`: it was not. */
export async function untilApplied<T>(
  key: string,
  attempt: () => Promise<T | 'conflict'>,
): Promise<T | { error: unknown }> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const outcome = await attempt()
    if (outcome !== 'conflict') return outcome
  }
  return { error: new StateConflictError(key, MOST_TRIES) }
}

/** What `change` makes of the value that is there. */
export async function attemptChange(
  place: Place,
  change: (value: unknown) => unknown,
): Promise<Change | { error: unknown }> {
  try {
    const { version, value } = await place.read()
    return { version, ...(await place.prepare(await change(value))) }
  } catch (error) {
    return { error }
  }
}

/** Reads a value by its key. */
export type Reader = (key: string) => Promise<StoredValue | undefined>

/** Where one value of a state is kept, and what it must fit. */
export class Place {
  readonly key: string
  readonly check: Check
  readonly #read: Reader

  constructor(read: Reader, key: string, schema: StandardSchema | undefined) {
    const check = checkWith(schema)
    this.key = key
    this.check = (value) => (value === undefined ? { value } : check(value))
    this.#read = read
  }

  async read(): Promise<{ version: number; value: unknown }> {
    const stored = await this.#read(this.key)
    if (!stored) return { version: 0, value: undefined }
    return { version: stored.version, value: await this.#checked(decodeValue(stored.data)) }
  }

  async prepare(value: unknown): Promise<Prepared> {
    const encoded = this.#encode(value)
    const data = value === undefined ? undefined : encoded
    return { encoded, data, value: await this.#checked(decodeValue(encoded)) }
  }

  #encode(value: unknown): string {
    try {
      return encodeValue(value)
    } catch (cause) {
      throw new StateValueError(this.key, `cannot be stored: ${describeUnrecordable(cause)}`, { cause })
    }
  }

  async #checked(value: unknown): Promise<unknown> {
    const checked = await this.check(value)
    if ('problem' in checked) throw new StateValueError(this.key, checked.problem)
    return checked.value
  }
}

/** `reading`, `changing`: what becomes of a promise that rejects while nobody waits for it. */
type At = { read: Reader; reading: Settling; changing: Settling; write: Writer }
type Settling = <T>(promise: Promise<T>) => Promise<T>

class State implements SessionState {
  readonly #at: At
  readonly #place: Place

  constructor(at: At, key: string, schema?: StandardSchema) {
    this.#at = at
    this.#place = new Place(at.read, key, schema)
  }

  get(): Promise<unknown> {
    return this.#at.reading(this.#place.read().then(({ value }) => value))
  }

  set(value: unknown, options?: ChangeOptions): Promise<void> {
    return this.#at.changing(this.update(() => value, options).then(() => undefined))
  }

  update(change: (current: unknown) => unknown, options: ChangeOptions = {}): Promise<unknown> {
    try {
      checkNames(`The state "${this.#place.key}"`, options, ['name'])
      checkGiven(
        typeof change === 'function',
        'update() takes a function of the value: update((value) => …)',
        change,
      )
      return this.#at.write(this.#place, options.name, change)
    } catch (error) {
      return this.#at.changing(Promise.reject(error as Error))
    }
  }

  of<Schema extends StandardSchema>(
    key: string,
    options: { schema?: Schema } = {},
  ): SessionState<InferInput<Schema>, InferOutput<Schema>> {
    checkNames(`The state "${key}"`, options, ['schema'])
    return new State(this.#at, checkText('A key of the state', key), options.schema)
  }
}

/** The state that is read and written so. */
export const stateAt = (at: At): SessionState => new State(at, DEFAULT_KEY)
