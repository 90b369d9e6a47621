import type { PlaceOwner, Quota, QuotaStore } from '@mcp-durable/core/store'
import { Membership } from './membership.js'
import { groups } from './replies.js'
import * as scripts from './scripts.generated.js'

/** No call is open for longer. */
const FORGET_MS = 30 * 24 * 60 * 60_000

/** Places in quotas. All of them are in one slot of a Cluster, so that a call takes those of several quotas in one operation. */
export class Quotas extends Membership implements QuotaStore {
  async takePlaces(call: PlaceOwner, quotas: readonly Quota[], queued: readonly Quota[] = []) {
    const all = [...quotas, ...queued]
    const keys = [this.keys.quotas(), ...all.map(({ name }) => this.keys.quota(name))]
    const limits = all.flatMap(({ most, windowMs = '' }) => [most, windowMs])
    const args = [encodeOwner(call), FORGET_MS, quotas.length, ...limits]
    const reply = (await this.client.run(scripts.takePlaces, keys, args)) as string[] | null
    if (reply === null) return undefined
    const [isQueued, freeInMs = '', ...full] = reply
    const names = full.flatMap((place) => all[Number(place) - 1]?.name ?? [])
    return { names, freeInMs: freeInMs === '' ? undefined : Number(freeInMs), isQueued: isQueued === '1' }
  }

  async releasePlaces(call: PlaceOwner, names: readonly string[], takenAt?: number) {
    const keys = [this.keys.quotas(), ...names.map((name) => this.keys.quota(name))]
    return (
      Number(await this.client.run(scripts.releasePlaces, keys, [encodeOwner(call), takenAt ?? ''])) === 1
    )
  }

  async nextTurns(againMs: number, limit: number) {
    const args = [Math.ceil(againMs), limit, FORGET_MS]
    const reply = (await this.client.run(scripts.nextTurns, [this.keys.quotas()], args)) as string[]
    return groups(reply, 2).map(([owner = '', waitedMs]) => ({
      ...decodeOwner(owner),
      waitedMs: Number(waitedMs),
    }))
  }

  async leaveQueue(call: PlaceOwner) {
    await this.client.run(scripts.leaveQueue, [this.keys.quotas()], [encodeOwner(call)])
  }

  async oldPlaces(name: string, olderThanMs: number, limit: number) {
    const args = [Math.ceil(olderThanMs), limit]
    const [now = '', ...owners] = (await this.client.run(
      scripts.oldPlaces,
      [this.keys.quota(name)],
      args,
    )) as string[]
    return owners.map((owner) => ({ ...decodeOwner(owner), takenAt: Number(now) }))
  }
}

export const encodeOwner = ({ scope, callId }: PlaceOwner) => `${scope} ${callId}`

export function decodeOwner(owner: string): PlaceOwner {
  const [scope = '', callId = ''] = owner.split(' ')
  return { scope, callId }
}
