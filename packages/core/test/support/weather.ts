import { StoreError } from '../../src/error-classes.js'
import type { Store } from '../../src/index.js'

/** `away`: not sent. `lost`: applied, and the answer never came. `stuck`: neither applied nor answered in time. `refused`: it said no. */
export type Failure = 'away' | 'lost' | 'stuck' | 'refused'
type Operation = Exclude<keyof Store, 'close'>
type Rule = { failure: Failure; only: readonly string[] | undefined; times: number }

const DEADLINE_MS = 50

/** Makes a store fail on demand. Every operation still ends, within a short deadline. */
export class Weather {
  #rule: Rule | undefined
  /** Operations that failed. */
  readonly failed: string[] = []
  #failing = new Set<(operation: string) => void>()

  /** From now on operations fail: those named, or all; `times` of them, or until it is fine again. */
  set(failure: Failure, { only, times = Infinity }: { only?: readonly Operation[]; times?: number } = {}) {
    this.#rule = { failure, only, times }
  }

  fine() {
    this.#rule = undefined
  }

  /** Resolves when this operation fails the next time. */
  untilFailed(operation: Operation): Promise<void> {
    return new Promise((resolve) => {
      const look = (failed: string) => {
        if (failed !== operation) return
        this.#failing.delete(look)
        resolve()
      }
      this.#failing.add(look)
    })
  }

  wrap(store: Store): Store {
    return new Proxy(store, {
      get: (target, name: string) => {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        const run = (...args: unknown[]): unknown => Reflect.apply(member, target, args)
        if (name === 'close') return run
        return async (...args: unknown[]) => this.#pass(name, async () => run(...args))
      },
    })
  }

  async #pass(operation: string, run: () => Promise<unknown>): Promise<unknown> {
    const rule = this.#rule
    if (!rule || rule.times <= 0 || (rule.only && !rule.only.includes(operation))) return run()
    rule.times--
    this.failed.push(operation)
    const tell = () => {
      for (const look of this.#failing) look(operation)
    }
    if (rule.failure === 'away') {
      tell()
      throw new StoreError('store-unavailable', 'The store is away.')
    }
    if (rule.failure === 'refused') {
      tell()
      throw new StoreError('store-failed', 'The store has refused it.')
    }
    if (rule.failure === 'lost') await run()
    else await new Promise((resolve) => setTimeout(resolve, DEADLINE_MS))
    tell()
    throw new StoreError('store-timeout', 'The store did not answer.')
  }
}
