import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { NodeBeat } from '../store/membership.js'
import { decodeAbout } from './about-node.js'
import type { Membership } from './membership.js'

const HELD =
  'nodes of an earlier version, which know nothing of protocol 2026-07-28, use the same store: it is served here when they are gone'
const BESIDE =
  'a node of an earlier version, which knows nothing of protocol 2026-07-28, has joined the same store: calls without sessions that it takes over, it answers in the ' +
  'wrong form'

/**
 * Nodes that know nothing of requests without sessions: they would answer the calls of such that they take over in the form
 * of sessions. As long as there are any, none is to be begun here. Once there were none, none are waited for again.
 */
export class OlderNodes {
  readonly #membership: Membership
  readonly #logger: Logger
  #areGone = false
  readonly #told = new Set<string>()
  #looking: Promise<unknown> | undefined

  constructor(membership: Membership, logger: Logger) {
    this.#membership = membership
    this.#logger = logger
    membership.onNodes = (others) => this.#note(others)
  }

  /** As far as was seen. */
  get areGone() {
    return this.#areGone
  }

  /** Looks for them; a request that would need to know is worth it. Throws a `StoreError`. */
  async look() {
    this.#looking ??= this.#membership.nodes().finally(() => (this.#looking = undefined))
    await this.#looking
  }

  #note(others: readonly NodeBeat[]) {
    const older = others.filter(({ lateMs, about }) => lateMs < Number.POSITIVE_INFINITY && !isNew(about))
    const { leaseMs } = this.#membership.lease
    // Of one that is late nothing is known while nobody may be judged.
    const alive = this.#membership.mayJudge() ? older.filter(({ lateMs }) => lateMs < leaseMs) : older
    this.#areGone ||= alive.length === 0
    for (const { node } of alive) {
      if (this.#told.has(node)) continue
      this.#told.add(node)
      this.#logger.warn({ node: shortId(node) }, this.#areGone ? BESIDE : HELD)
    }
  }
}

const isNew = (about: string) => decodeAbout(about)?.eras !== undefined
