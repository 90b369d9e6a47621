import type { Claim, Claimed, NodeBeat, OpenCall, OwnershipStore } from '@mcp-durable/core'
import { groups } from './replies.js'
import * as scripts from './scripts.generated.js'
import { ValuesAndMaps } from './values-and-maps.js'

/** After so long without any node, nothing is left to take over: sessions have expired too. */
const FORGET_MS = 30 * 24 * 60 * 60_000

/** Nodes and what they hold. All of it is in one slot of a Cluster; owners of calls are kept with their session. */
export class Ownership extends ValuesAndMaps implements OwnershipStore {
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

  async bury(node: string, lateMs: number) {
    const keys = [this.keys.nodes(), this.keys.heldBy(node), this.keys.about()]
    return Number(await this.client.run(scripts.bury, keys, [node, lateMs])) === 1
  }

  async hold(node: string, scopes: readonly string[]) {
    await this.client.run(scripts.hold, [this.keys.heldBy(node)], [FORGET_MS, ...scopes])
  }

  async release(node: string, scopes: readonly string[]) {
    await this.client.run(scripts.release, [this.keys.heldBy(node)], [...scopes])
  }

  async disown(node: string, scopes: readonly string[], lateMs: number) {
    const keys = [this.keys.nodes(), this.keys.heldBy(node)]
    return Number(await this.client.run(scripts.disown, keys, [node, lateMs, ...scopes])) === 1
  }

  async heldScopes(node: string, limit: number) {
    return (await this.client.run(scripts.heldScopes, [this.keys.heldBy(node)], [limit])) as string[]
  }

  async listOpenCalls(scope: string): Promise<OpenCall[]> {
    const reply = await this.client.run(scripts.listOpenCalls, [this.keys.session(scope)], [])
    return pairs(reply).map(([callId, owner]) => ({ callId, owner }))
  }

  async claimCall(
    scope: string,
    callId: string,
    { from, to, data, last = '', counts = 1 }: Claim,
  ): Promise<Claimed | undefined> {
    const keys = [this.keys.session(scope), this.keys.log(scope, `call:${callId}`)]
    const reply = await this.write(scripts.claimCall, scripts.keptClaimCall, scope, keys, [
      callId,
      from,
      to,
      data,
      last,
      counts,
    ])
    if (reply === null) return undefined
    const [id, claims] = reply as [string, number]
    return { id, claims }
  }

  async isWatched(scope: string) {
    return Number(await this.client.run(scripts.isWatched, [this.keys.session(scope)], [])) === 1
  }
}

function pairs(reply: unknown): Array<[string, string]> {
  const flat = reply as string[]
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
}
