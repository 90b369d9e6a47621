import type { MemoryData } from './memory-data.js'
import type { MembershipStore } from './membership.js'

/** The nodes of the in-memory store, and the scopes they hold. */
export class MemoryNodes implements Omit<MembershipStore, 'isWatched'> {
  readonly #data: MemoryData

  constructor({ data }: { data: MemoryData }) {
    this.#data = data
  }

  beat: MembershipStore['beat'] = async (node, about = '') => {
    const earlier = this.#data.nodes.get(node)
    const scopes = earlier?.scopes ?? new Set()
    const now = Date.now()
    // The clock was set back since: who has died before would seem to live until it is there again.
    for (const other of this.#data.nodes.values()) other.beatAt = Math.min(other.beatAt, now)
    this.#data.nodes.set(node, { beatAt: now, about: about || (earlier?.about ?? ''), scopes })
    return Number.isFinite(earlier?.beatAt)
  }

  listNodes: MembershipStore['listNodes'] = async () =>
    [...this.#data.nodes].map(([node, { beatAt, about }]) => ({ node, lateMs: Date.now() - beatAt, about }))

  leave: MembershipStore['leave'] = async (node) => {
    const left = this.#data.nodes.get(node)
    if (left) left.beatAt = Number.NEGATIVE_INFINITY
  }

  removeNode: MembershipStore['removeNode'] = async (node, lateMs) => {
    const late = this.#data.nodes.get(node)
    if (late && (late.scopes.size > 0 || Date.now() - late.beatAt < lateMs)) return false
    return this.#data.nodes.delete(node)
  }

  hold: MembershipStore['hold'] = async (node, scopes) => {
    const holder = this.#data.nodes.get(node) ?? { beatAt: Date.now(), about: '', scopes: new Set<string>() }
    this.#data.nodes.set(node, holder)
    for (const scope of scopes) holder.scopes.add(scope)
  }

  release: MembershipStore['release'] = async (node, scopes) => {
    for (const scope of scopes) this.#data.nodes.get(node)?.scopes.delete(scope)
  }

  declareDead: MembershipStore['declareDead'] = async (node, scopes, lateMs) => {
    const late = this.#data.nodes.get(node)
    if (late && Date.now() - late.beatAt < lateMs) return false
    if (late) late.beatAt = Number.NEGATIVE_INFINITY
    for (const scope of scopes) late?.scopes.delete(scope)
    return true
  }

  heldScopes: MembershipStore['heldScopes'] = async (node, limit) =>
    [...(this.#data.nodes.get(node)?.scopes ?? [])].slice(0, limit)
}
