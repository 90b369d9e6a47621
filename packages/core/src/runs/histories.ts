import { decodeAbout } from '../call/about-node.js'
import type { Keeping } from '../store/history.js'
import type { Store } from '../store/store.js'
import { RunRefusedError } from './errors.js'

/** Does work with a store that keeps in histories what the nodes keep there. */
export async function withHistory<T>(
  store: Store,
  scope: string,
  work: (store: Store, isKept: boolean) => Promise<T>,
): Promise<T> {
  const keeping = await keepingOf(store, scope)
  if (!keeping) return work(store, false)
  const kept = store.open({ keeping })
  try {
    return await work(kept, true)
  } finally {
    await kept.close()
  }
}

/** What the node says that has beaten last, of those that keep one. */
async function keepingOf(store: Store, scope: string): Promise<Keeping | undefined> {
  const nodes = (await store.listNodes()).filter(({ lateMs }) => lateMs < Number.POSITIVE_INFINITY)
  const kept = nodes
    .toSorted((a, b) => a.lateMs - b.lateMs)
    .flatMap(({ about }) => decodeAbout(about)?.history ?? [])
  if (kept[0]) return kept[0]
  if ((await store.history(scope, { limit: 1 })).length === 0) return undefined
  throw new RunRefusedError(
    'run-history',
    'a history is kept of this call, and no node is there that says for how long. Start one, and try again.',
  )
}
