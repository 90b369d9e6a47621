import { decodeAbout } from '../call/about-node.js'
import { counted, isTurn, quotasFor } from '../call/call-quotas.js'
import { freeGone } from '../call/gone-places.js'
import type { CallQuota } from '../call/record.js'
import type { CallPlace } from '../session/place.js'
import type { Store, StoredSession } from '../store/store.js'
import { RunRefusedError } from './errors.js'
import type { RecordedRun } from './recorded-run.js'

/** Nobody tells that of the nodes. */
const LEASE_MS = 10_000

type Counted = CallQuota & { text?: string }

/** Those that another call falls under which is made of the run: by the rules of the nodes, or as the run was counted where none are known. */
export async function quotasOf(
  store: Store,
  { runs }: RecordedRun,
  { principal, server }: StoredSession,
): Promise<readonly Counted[]> {
  const { messages, quotas = [] } = runs.request
  const nodes = (await store.listNodes()).filter(({ lateMs }) => lateMs < Number.POSITIVE_INFINITY)
  const counting = nodes
    .toSorted((a, b) => a.lateMs - b.lateMs)
    .flatMap(({ about }) => decodeAbout(about) ?? [])
    .filter((about) => about.quotas !== undefined)
  // A node tells what it serves once it has served it.
  const own = counting.find((about) => server === undefined || about.server === server)
  const rules = (own ?? counting.find((about) => about.server === undefined))?.quotas
  return rules ? quotasFor(rules, messages, principal) : quotas
}

/**
 * Places of calls that are open, taken for one before it is. The others it takes when a node is to run it, and may wait for them. Who dies
 * before it is opened leaves places that are found, as a node does.
 */
export class OpenPlaces {
  readonly #store: Store
  readonly #call: CallPlace
  readonly #names: readonly string[]

  /** Throws a `RunRefusedError` if there are none. */
  static async take(store: Store, call: CallPlace, quotas: readonly Counted[]): Promise<OpenPlaces> {
    const open = quotas.filter((quota) => !isTurn(quota))
    const take = () => store.takePlaces(call, open.map(counted))
    let full = open.length > 0 ? await take() : undefined
    if (full) {
      const freed = await Promise.all(full.names.map((name) => freeGone(store, name, LEASE_MS)))
      if (freed.includes(true)) full = await take()
    }
    if (full) {
      const [name] = full.names
      const { most, text = `maxOpen ${most}` } = open.find((quota) => quota.name === name)!
      throw new RunRefusedError(
        'run-quota',
        `no place is left in the quota ${text}. Wait until one of its calls has ended, or cancel one.`,
      )
    }
    return new OpenPlaces(
      store,
      call,
      open.map(({ name: held }) => held),
    )
  }

  private constructor(store: Store, call: CallPlace, names: readonly string[]) {
    this.#store = store
    this.#call = call
    this.#names = names
  }

  /** The call is not opened. What is lost is found when the quota is full. */
  async giveBack() {
    if (this.#names.length > 0)
      await this.#store.releasePlaces(this.#call, this.#names).catch(() => undefined)
  }
}
