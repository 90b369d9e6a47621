import type { OlderNodes } from '../call/older-nodes.js'
import { ERAS, IN_SESSIONS, namesSessionless, SESSIONLESS } from '../protocol.js'
import type { Era } from '../protocol.js'
import { refuse } from './replies.js'

const OLDER =
  'nodes of an earlier version, which can’t serve this protocol version, are still there. Try again.'

/** What this node serves, and serves now. */
export class ServedEras {
  readonly #given: ReadonlySet<Era>
  readonly #held: ReadonlySet<Era>
  readonly #older: Pick<OlderNodes, 'areGone' | 'look'>

  /** Where nothing is `given`, all is served. */
  constructor(given: readonly Era[] = ERAS, older: Pick<OlderNodes, 'areGone' | 'look'>) {
    this.#given = new Set(given)
    this.#held = new Set(given.filter((era) => era !== SESSIONLESS))
    this.#older = older
  }

  /** At some time, if not now. */
  get all(): ReadonlySet<Era> {
    return this.#given
  }

  get now(): ReadonlySet<Era> {
    return this.#older.areGone ? this.#given : this.#held
  }

  /** Whether a request is served as one without a session, by its header `MCP-Protocol-Version`. What is not served now is looked at as one of a session, and refused as such. */
  isSessionless(protocolVersion: string | null): boolean {
    return this.now.has(SESSIONLESS) && (!this.now.has(IN_SESSIONS) || namesSessionless(protocolVersion))
  }

  /** Before a request is looked at: whether what it asks for is served now. Undefined if that is known. */
  settle(protocolVersion: string | null): Promise<void> | undefined {
    if (this.#older.areGone || !this.#given.has(SESSIONLESS)) return undefined
    return namesSessionless(protocolVersion) ? this.#look() : undefined
  }

  async #look() {
    await this.#older.look()
    // Clients try another version where one is refused, and here is none.
    if (!this.#older.areGone && !this.#given.has(IN_SESSIONS)) throw refuse.unavailable(OLDER)
  }
}
