import { MemoryMaps } from './memory-maps.js'
import type { OwnershipStore } from './ownership.js'

/** The nodes of the in-memory store, and the scopes they hold. */
export class MemoryNodes extends MemoryMaps {
  readonly #nodes = new Map<string, { beatAt: number; scopes: Set<string> }>()

  beat: OwnershipStore['beat'] = async (node) => {
    const known = Number.isFinite(this.#nodes.get(node)?.beatAt)
    this.#nodes.set(node, { beatAt: Date.now(), scopes: this.#nodes.get(node)?.scopes ?? new Set() })
    return known
  }

  listNodes: OwnershipStore['listNodes'] = async () =>
    [...this.#nodes].map(([node, { beatAt }]) => ({ node, lateMs: Date.now() - beatAt }))

  leave: OwnershipStore['leave'] = async (node) => {
    const left = this.#nodes.get(node)
    if (left) left.beatAt = Number.NEGATIVE_INFINITY
  }

  bury: OwnershipStore['bury'] = async (node, lateMs) => {
    const late = this.#nodes.get(node)
    if (late && (late.scopes.size > 0 || Date.now() - late.beatAt < lateMs)) return false
    return this.#nodes.delete(node)
  }

  hold: OwnershipStore['hold'] = async (node, scopes) => {
    const holder = this.#nodes.get(node) ?? { beatAt: Date.now(), scopes: new Set<string>() }
    this.#nodes.set(node, holder)
    for (const scope of scopes) holder.scopes.add(scope)
  }

  release: OwnershipStore['release'] = async (node, scopes) => {
    for (const scope of scopes) this.#nodes.get(node)?.scopes.delete(scope)
  }

  disown: OwnershipStore['disown'] = async (node, scopes, lateMs) => {
    const late = this.#nodes.get(node)
    if (late && Date.now() - late.beatAt < lateMs) return false
    if (late) late.beatAt = Number.NEGATIVE_INFINITY
    for (const scope of scopes) late?.scopes.delete(scope)
    return true
  }

  heldScopes: OwnershipStore['heldScopes'] = async (node, limit) =>
    [...(this.#nodes.get(node)?.scopes ?? [])].slice(0, limit)
}
