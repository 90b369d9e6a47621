import type { PlaceOwner, Quota, QuotaStore, Turn } from '@mcp-durable/core/store'
import { runWithKeys } from './asking.js'
import { Membership } from './membership.js'
import { untag } from './keys.js'
import * as scripts from './scripts.generated.js'

/** No call is open for longer. */
const FORGET_MS = 30 * 24 * 60 * 60_000

/** Places in quotas. All of them are in one slot of a Cluster, so that a call takes those of several quotas in one operation. */
export class Quotas extends Membership implements QuotaStore {
  async takePlaces(call: PlaceOwner, quotas: readonly Quota[], queued: readonly Quota[] = []) {
    const all = [...quotas, ...queued]
    const keys = [...this.keys.turns(), ...all.flatMap(({ name }) => this.keys.queued(name))]
    const limits = all.flatMap(({ most, windowMs = '' }) => [most, windowMs])
    const args = [encodeOwner(call), FORGET_MS, quotas.length, ...limits]
    const reply = (await this.client.run(scripts.takePlaces, keys, args)) as string[] | null
    if (reply === null) return undefined
    const [isQueued, freeInMs = '', ...full] = reply
    const names = full.flatMap((place) => all[Number(place) - 1]?.name ?? [])
    return { names, freeInMs: freeInMs === '' ? undefined : Number(freeInMs), isQueued: isQueued === '1' }
  }

  async releasePlaces(call: PlaceOwner, names: readonly string[], takenAt?: number) {
    const [quotas = '', waits = '', given = ''] = this.keys.turns()
    const keys = [quotas, waits, given, ...names.map((name) => this.keys.quota(name))]
    const args = [encodeOwner(call), takenAt ?? '', names.length]
    const deadline = this.client.deadline()
    const release = (found: readonly string[]) =>
      this.client.run(scripts.releasePlaces, [...keys, ...found], args, deadline)
    return Number(await runWithKeys(this.keys.quotas(), deadline, release)) === 1
  }

  async touchPlaces(call: PlaceOwner, names: readonly string[]) {
    const keys = [this.keys.quotas(), ...names.map((name) => this.keys.quota(name))]
    return Number(await this.client.run(scripts.touchPlaces, keys, [encodeOwner(call)]))
  }

  async nextTurns(againMs: number, limit: number) {
    const reply: string[][] = []
    const deadline = this.client.deadline()
    let again: number | '' = Math.ceil(againMs)
    await runWithKeys(this.keys.quotas(), deadline, async (found) => {
      const args = [again, limit - reply.length, FORGET_MS]
      const answered = await this.client.run(
        scripts.nextTurns,
        [...this.keys.turns(), ...found],
        args,
        deadline,
      )
      const [asked, ...turns] = answered as [string[], ...string[][]]
      reply.push(...turns)
      // What was told of is not told of again because there is more to be looked at.
      again = ''
      return asked.length > 1 ? asked : turns
    })
    return reply.map(decodeTurn)
  }

  async turnOf(call: PlaceOwner) {
    const [quotas = '', waits = '', given = ''] = this.keys.turns()
    const reply = await this.client.run(scripts.turnOf, [quotas, waits, given], [encodeOwner(call)])
    if (reply === null) return undefined
    return Array.isArray(reply) ? decodeTurn(reply as string[]) : 'waits'
  }

  async waitedFor() {
    const [quotas = '', , , waited = ''] = this.keys.turns()
    const keys = (await this.client.run(scripts.waitedFor, [waited], [])) as string[]
    return keys.map((key) => untag(key.slice(quotas.length + 1)))
  }

  async leaveQueue(turn: Turn) {
    const [, waits = '', given = ''] = this.keys.turns()
    await this.client.run(scripts.leaveQueue, [waits, given], [encodeOwner(turn), turn.toldAt])
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

function decodeTurn([owner = '', waitedMs, toldAt, names = '']: string[]): Turn {
  return {
    ...decodeOwner(owner),
    waitedMs: Number(waitedMs),
    toldAt: Number(toldAt),
    names: names.split(' ').map(untag),
  }
}

export const encodeOwner = ({ scope, callId }: PlaceOwner) => `${scope} ${callId}`

export function decodeOwner(owner: string): PlaceOwner {
  const [scope = '', callId = ''] = owner.split(' ')
  return { scope, callId }
}
