import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { NodeBeat } from '../store/membership.js'
import { decodeAbout } from './about-node.js'

const OTHER_SERVER =
  'a node with another server uses the same store, prefix and name. Give each server its own name: ' +
  "durable({ name: 'orders', … })"

/** Nodes of another server under the same name would run this one's calls, and end those of tools that they don't have. */
export class OtherServers {
  readonly #logger: Logger
  readonly #told = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Says on the log which nodes, by their own account, serve something else; of each server once. */
  tell(server: string, nodes: readonly NodeBeat[], leaseMs: number) {
    for (const { node, lateMs, about } of nodes) {
      const other = lateMs < leaseMs ? decodeAbout(about)?.server : undefined
      if (other === undefined || other === server || this.#told.has(other)) continue
      this.#told.add(other)
      this.#logger.warn({ node: shortId(node), server, other }, OTHER_SERVER)
    }
  }
}
