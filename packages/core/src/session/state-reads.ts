import type { ContextStore } from '../store/context-store.js'
import { DurableError } from '../errors.js'
import { sessionState } from '../context/session-state.js'
import type { InferOutput, StandardSchema } from '../context/standard-schema.js'

/** Values of the session's state, or without a session of the principal's, as `ctx.state` has them, to read. */
export interface ReadonlySessionState<Out = unknown> {
  /** The value, as the schema gives it back; `undefined`: none. */
  get(): Promise<Out | undefined>
  /** Another value of the same session. */
  of<Schema extends StandardSchema>(
    key: string,
    options: { schema: Schema },
  ): ReadonlySessionState<InferOutput<Schema>>
  of(key: string): ReadonlySessionState
}

/** What a factory has read of the state of its session: when one of these values has changed, its server object is out of date. */
export class StateReads {
  readonly state: ReadonlySessionState
  readonly #store: ContextStore
  readonly #scope: string | undefined
  readonly #versions = new Map<string, number>()
  readonly #onRead: () => void
  #recording = true
  #upTo: number

  /**
   * `upTo`: how often values of the session had changed before any was read, as an admission tells. Without a `scope` every value
   * is none. `onRead`: before the first value is read.
   */
  constructor(
    store: ContextStore,
    scope: string | undefined,
    upTo: number,
    onRead: () => void = () => undefined,
  ) {
    this.#onRead = onRead
    this.#store = store
    this.#scope = scope
    this.#upTo = upTo
    this.state = sessionState({ ...refusing(store), readValue: (_, key) => this.#read(key) }, scope ?? '')
  }

  /** Whether anything was read. */
  get any() {
    return this.#versions.size > 0
  }

  /** The factory has returned: what is read from now on shapes nothing. */
  end() {
    this.#recording = false
  }

  /** Whether something may have changed that was read, seeing that values have changed so often. */
  mayDiffer(values: number) {
    return this.any && values > this.#upTo
  }

  /** Whether it has. */
  async differ(values: number): Promise<boolean> {
    const reads = [...this.#versions].map(async ([key, version]) => {
      const stored = await this.#stored(key)
      return (stored?.version ?? 0) !== version
    })
    const differ = (await Promise.all(reads)).includes(true)
    if (!differ) this.#upTo = Math.max(this.#upTo, values)
    return differ
  }

  async #read(key: string) {
    if (this.#recording && !this.any) this.#onRead()
    const stored = await this.#stored(key)
    // Of two reads of a value the older one counts: the object may have come from either.
    if (this.#recording && !this.#versions.has(key)) this.#versions.set(key, stored?.version ?? 0)
    return stored
  }

  async #stored(key: string) {
    return this.#scope === undefined ? undefined : this.#store.readValue(this.#scope, key)
  }
}

const refusing = (store: ContextStore): ContextStore => ({
  readValue: (scope, key) => store.readValue(scope, key),
  writeValue: () => Promise.reject(new DurableError('read-only-state', READ_ONLY)),
  beginScope: (...begin) => store.beginScope(...begin),
  useScope: (...use) => store.useScope(...use),
  changeMap: (...change) => store.changeMap(...change),
  readMap: (...read) => store.readMap(...read),
  rangeMap: (...range) => store.rangeMap(...range),
})

const READ_ONLY =
  'A factory reads the state of its session. It is changed in calls (`ctx.state`) or with `sessionState()`.'
