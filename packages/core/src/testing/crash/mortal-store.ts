import type { Store, WatchListener } from '../../store/store.js'
import { writesOf } from './points.js'
import type { QuestionOf, Write } from './points.js'

/** A process, as long as it lives. */
export interface Process {
  readonly isDead: boolean
  readonly questionOf: QuestionOf
  /** Whether it is to die at an operation that writes this. */
  crashesAt(writes: Writes): { place: number; when: 'before' | 'after' } | undefined
  /** An operation has been applied. */
  wrote(writes: Writes): void
  die(): void
}

export type Writes = ReadonlyArray<Write | undefined>

const never = new Promise<never>(() => undefined)

/**
 * A store as one process sees it. From when that dies, nothing that it asks for happens, or is answered: code that runs on in
 * memory does nothing that anybody else could see, and comes to nothing.
 */
export function mortalStore(store: Store, process: Process): Store {
  const perform = async (operation: keyof Store, args: readonly unknown[]) => {
    if (process.isDead) return never
    const writes = writesOf(operation, args, process.questionOf)
    const crash = process.crashesAt(writes)
    // Of entries that are appended together, those before the crash: they might as well have gone alone.
    const count = crash ? crash.place + (crash.when === 'after' ? 1 : 0) : writes.length
    if (crash && count === 0) process.die()
    if (process.isDead) return never
    const applied = count < writes.length ? firstOf(args, count) : args
    const outcome: unknown = await (store[operation] as (...args: readonly unknown[]) => unknown)(...applied)
    // It may have died meanwhile, at another operation.
    if (process.isDead) return never
    process.wrote(writes.slice(0, count))
    if (crash) process.die()
    return crash ? never : outcome
  }
  const heard =
    (listener: WatchListener): WatchListener =>
    (...signal) => {
      if (!process.isDead) listener(...signal)
    }
  return new Proxy(store, {
    get(_store, operation: keyof Store) {
      return (...args: unknown[]) => {
        const [scope, listener] = args
        return perform(operation, operation === 'watch' ? [scope, heard(listener as WatchListener)] : args)
      }
    },
  })
}

/** The first so many entries of an append, which do not end the call. */
function firstOf([scope, callId, entries, _close, effect]: readonly unknown[], count: number) {
  return [scope, callId, (entries as unknown[]).slice(0, count), undefined, effect]
}
