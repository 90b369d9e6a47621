import { decodeValue, encodeValue } from './codec.js'
import type { ContextStore } from '../store/context-store.js'
import { MAX_RECORD_BYTES, requireFits } from '../errors.js'
import { NoSessionError, StateConflictError, StateValueError, UnknownScopeError } from './errors.js'
import { checkText } from './map-keys.js'
import { quietly } from './quietly.js'
import type { RecordLimit } from './sorted-map.js'
import { checkWith } from './standard-schema.js'
import type { Check, InferInput, InferOutput, StandardSchema } from './standard-schema.js'
import type { Steps, StepSpec } from './steps.js'

/**
 * One value of a session, shared by all its calls, on every node. Any value that a step can have; `undefined`: none.
 *
 * `get` reads what is there now and is not memoized: when a call is run again it may read something else. A handler
 * that branches on it wraps the read in a step, or decides inside `update`.
 *
 * In a call every change is a step and applies exactly once: its record and the change are one atomic operation. The
 * first change of a key needs no name; its step is then named after the key. Further ones in the same call do:
 * automatic names that count would shift when the code is edited, and a call that is taken over by the new code would
 * skip the wrong change.
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
  /** Another value of the same session. */
  of<Schema extends StandardSchema>(
    key: string,
    options: { schema: Schema },
  ): SessionState<InferInput<Schema>, InferOutput<Schema>>
  of(key: string): SessionState
}

/** `name`: the name of the step that the change is. Default: `state` and the key. */
export type ChangeOptions = { name?: string }

/** Makes one change by compare-and-set and resolves to the new value. `name` is for where it is recorded. */
type Writer = (
  place: Place,
  name: string | undefined,
  change: (current: unknown) => unknown,
) => Promise<unknown>

const DEFAULT_KEY = 'default'
const MOST_TRIES = 100

/**
 * The state of a session, from outside of a call. In a call use `ctx.state`, whose changes are not repeated. A value of
 * more than `maxRecordBytes` is refused with a `RecordTooLargeError`.
 */
export function sessionState(
  store: ContextStore,
  scope: string,
  { maxRecordBytes = MAX_RECORD_BYTES }: RecordLimit = {},
): SessionState {
  const settling = <T>(promise: Promise<T>) => promise
  return new State({ store, scope, settling }, DEFAULT_KEY, undefined, async (place, _name, change) => {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { version, value } = await place.read()
      const next = await place.prepare(await change(value))
      requireFits(next.encoded, maxRecordBytes, `the value of the state ${place.key}`)
      const written = await store.writeValue(scope, place.key, version, next.data)
      if (written === 'unknown') throw new UnknownScopeError()
      if (written !== 'conflict') return next.value
    }
    throw new StateConflictError(place.key, MOST_TRIES)
  })
}

/** In place of the state of a session, where there is none: every use is refused. */
export const NO_STATE: SessionState = {
  get: () => Promise.reject(new NoSessionError()),
  set: () => Promise.reject(new NoSessionError()),
  update: () => Promise.reject(new NoSessionError()),
  of: () => NO_STATE as never,
}

/** The state of a session in one of its calls: every change is a step. */
export function stateInCall(store: ContextStore, scope: string, steps: Steps): SessionState {
  return new State({ store, scope, settling: quietly }, DEFAULT_KEY, undefined, (place, name, change) =>
    steps.run(...stepOf(place, name), async (step) => {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const next = await attemptChange(place, (value) => steps.within(step, change, value))
        // What a stopped change throws says nothing of the step: the next node makes it again.
        steps.lifetime.throwIfAborted()
        if ('error' in next) return { error: next.error }
        const effect = { key: place.key, expected: next.version, data: next.data }
        if (await steps.apply(step, next, effect)) return 'ended'
      }
      return { error: new StateConflictError(place.key, MOST_TRIES) }
    }),
  )
}

/** The name of a step is one line; a key need not be. */
function stepOf({ key, check }: Place, name: string | undefined): [name: string, spec: StepSpec] {
  const spec = { kind: 'state', check } as const
  if (name === undefined && key.includes('\n')) return ['state', { ...spec, key }]
  return [name ?? `state ${key}`, spec]
}

/** A new value, in the form in which it is stored and as it is given out; `data` is `undefined` for none. */
type Prepared = { encoded: string; data: string | undefined; value: unknown }

async function attemptChange(
  place: Place,
  change: (value: unknown) => unknown,
): Promise<(Prepared & { version: number }) | { error: unknown }> {
  try {
    const { version, value } = await place.read()
    return { version, ...(await place.prepare(await change(value))) }
  } catch (error) {
    return { error }
  }
}

/** Where one value of a scope is kept, and what it must fit. */
class Place {
  readonly key: string
  readonly check: Check
  readonly #at: { store: ContextStore; scope: string }

  constructor(at: { store: ContextStore; scope: string }, key: string, schema: StandardSchema | undefined) {
    const check = checkWith(schema)
    this.key = key
    this.check = (value) => (value === undefined ? { value } : check(value))
    this.#at = at
  }

  async read(): Promise<{ version: number; value: unknown }> {
    const stored = await this.#at.store.readValue(this.#at.scope, this.key)
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
      throw new StateValueError(this.key, `cannot be stored: ${String(cause)}`, { cause })
    }
  }

  async #checked(value: unknown): Promise<unknown> {
    const checked = await this.check(value)
    if ('problem' in checked) throw new StateValueError(this.key, checked.problem)
    return checked.value
  }
}

/** `settling`: what becomes of a promise that rejects while nobody waits for it. */
type At = { store: ContextStore; scope: string; settling: <T>(promise: Promise<T>) => Promise<T> }

class State implements SessionState {
  readonly #at: At
  readonly #place: Place
  readonly #write: Writer

  constructor(at: At, key: string, schema: StandardSchema | undefined, write: Writer) {
    this.#at = at
    this.#place = new Place(at, key, schema)
    this.#write = write
  }

  get(): Promise<unknown> {
    return this.#at.settling(this.#place.read().then(({ value }) => value))
  }

  set(value: unknown, options?: ChangeOptions): Promise<void> {
    return this.#at.settling(this.update(() => value, options).then(() => undefined))
  }

  update(change: (current: unknown) => unknown, { name }: ChangeOptions = {}): Promise<unknown> {
    return this.#write(this.#place, name, change)
  }

  of<Schema extends StandardSchema>(
    key: string,
    options?: { schema: Schema },
  ): SessionState<InferInput<Schema>, InferOutput<Schema>> {
    return new State(this.#at, checkText('A key of the state', key), options?.schema, this.#write)
  }
}
