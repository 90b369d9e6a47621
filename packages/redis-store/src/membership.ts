import type { MembershipStore, NodeBeat } from '@mcp-durable/core/store'
import { groups } from './replies.js'
import * as scripts from './scripts.generated.js'
import { ValuesAndMaps } from './values-and-maps.js'

/** After so long without any node, nothing is left to take over: sessions have expired too. */
const FORGET_MS = 30 * 24 * 60 * 60_000

/** Nodes and what they hold. All of it is in one slot of a Cluster. */
export class Membership extends ValuesAndMaps implements MembershipStore {
  async beat(node: string, about = '') {
    const keys = [this.keys.nodes(), this.keys.about()]
    return Number(await this.client.run(scripts.beat, keys, [node, FORGET_MS, about])) === 1
  }

  async leave(node: string) {
    await this.client.run(scripts.beat, [this.keys.nodes(), this.keys.about()], [node, 0, ''])
  }

  async listNodes(): Promise<NodeBeat[]> {
    const reply = await this.client.run(scripts.listNodes, [this.keys.nodes(), this.keys.about()], [])
    return groups(reply as string[], 3).map(([node = '', lateMs, about = '']) => ({
      node,
      lateMs: Number(lateMs),
      about,
    }))
  }

  async removeNode(node: string, lateMs: number) {
    const keys = [this.keys.nodes(), this.keys.heldBy(node), this.keys.about()]
    return Number(await this.client.run(scripts.removeNode, keys, [node, lateMs])) === 1
  }

  async hold(node: string, scopes: readonly string[]) {
    await this.client.run(scripts.hold, [this.keys.heldBy(node)], [FORGET_MS, ...scopes])
  }

  async release(node: string, scopes: readonly string[]) {
    await this.client.run(scripts.release, [this.keys.heldBy(node)], [...scopes])
  }

  async declareDead(node: string, scopes: readonly string[], lateMs: number) {
    const keys = [this.keys.nodes(), this.keys.heldBy(node)]
    return Number(await this.client.run(scripts.declareDead, keys, [node, lateMs, ...scopes])) === 1
  }

  async heldScopes(node: string, limit: number) {
    return (await this.client.run(scripts.heldScopes, [this.keys.heldBy(node)], [limit])) as string[]
  }

  async isWatched(scope: string) {
    return Number(await this.client.run(scripts.isWatched, [this.keys.session(scope)], [])) === 1
  }
}
