import { isSealed } from '../errors.js'
import type { LazyAbort } from '../lazy-abort.js'
import { whileStoreFails } from '../store/retry.js'
import type { ContextStore } from '../store/context-store.js'
import { untilAborted } from './timers.js'

type Reader = {
  lifetime: LazyAbort
  during: <T>(reading: Promise<T>) => Promise<T>
  /** The call leaves this node, since it needs what can't be opened here; its handler is stopped then. */
  handBack: () => boolean
}
type Operation<Name extends keyof ContextStore> = Parameters<NonNullable<ContextStore[Name]>>

/** The store as a running call sees it: while it is away the call waits, as it does with its own records. */
export class PatientStore implements ContextStore {
  readonly #store: ContextStore
  readonly #reader: Reader

  constructor(store: ContextStore, reader: Reader) {
    this.#store = store
    this.#reader = { ...reader }
  }

  async readValue(...read: Operation<'readValue'>) {
    return this.#patiently(() => this.#store.readValue(...read))
  }

  writeValue(...write: Operation<'writeValue'>) {
    const written = () => this.#store.writeValue(...write)
    // Not to be repeated without a mark: after a time-out its own success would look like a conflict.
    return write[4]?.mark === undefined ? written() : this.#patiently(written)
  }

  async beginScope(...begin: Operation<'beginScope'>) {
    return this.#patiently(() => this.#store.beginScope(...begin))
  }

  async useScope(...use: Operation<'useScope'>) {
    return this.#patiently(() => this.#store.useScope(...use))
  }

  async changeMap(...change: Operation<'changeMap'>) {
    return this.#patiently(() => this.#store.changeMap(...change))
  }

  async readMap(...read: Operation<'readMap'>) {
    return this.#patiently(() => this.#store.readMap(...read))
  }

  async rangeMap(...range: Operation<'rangeMap'>) {
    return this.#patiently(() => this.#store.rangeMap(...range))
  }

  #patiently<T>(operation: () => Promise<T>): Promise<T> {
    const { lifetime, during, handBack } = this.#reader
    lifetime.throwIfAborted()
    return during(untilAborted(lifetime.signal, () => whileStoreFails(operation, lifetime))).catch(
      (error: unknown) => {
        if (isSealed(error) && handBack()) lifetime.throwIfAborted()
        throw error
      },
    )
  }
}
