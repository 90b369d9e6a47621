import { StoreError } from '../errors.js'

/**
 * Where what is acknowledged has to be. `memory`: in that of the store's server, which brings it to its disk as it is set to.
 * `fsync`: on that server's disk. `replicated`: in that of its replicas
 * too; and on the disk, if the store is set to `fsync`.
 */
export type Durability = 'memory' | 'fsync' | 'replicated'

const DURABILITIES: readonly Durability[] = ['memory', 'fsync', 'replicated']

export const isDurability = (value: unknown): value is Durability =>
  (DURABILITIES as readonly unknown[]).includes(value)

/** The one that asks for most. */
export function strongest(durabilities: Iterable<Durability | undefined>): Durability {
  let most = 0
  for (const durability of durabilities)
    if (durability !== undefined) most = Math.max(most, DURABILITIES.indexOf(durability))
  return DURABILITIES[most]!
}

/** Part of `Store`; the rules stated there hold here too. */
export interface DurabilityStore {
  /**
   * Resolves if entries can be appended with this `durability` now; else rejects with `store-failed`, and a message that says what
   * to set up. Not there: `memory` is all.
   */
  requireDurability?(durability: Durability): Promise<void>
}

/** As `requireDurability` of any store. */
export async function requireDurability(store: DurabilityStore, durability: Durability) {
  if (store.requireDurability) return store.requireDurability(durability)
  if (durability !== 'memory') throw notDurable(durability, 'this store has no such setting')
}

export function notDurable(durability: Durability, problem: string, options?: ErrorOptions) {
  return new StoreError('store-failed', `What is written can't be '${durability}': ${problem}.`, options)
}
