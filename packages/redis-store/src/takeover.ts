import type { Claim, Claimed, DueCall, DueCallsStore, OpenCall, TakeoverStore } from '@mcp-durable/core/store'
import { Quotas } from './quotas.js'
import { decodeName } from './replies.js'
import * as scripts from './scripts.generated.js'
import { expiry } from './values-and-maps.js'

/** After so long without any node, what was due is gone. */
const KEEP_DUE_MS = 30 * 24 * 60 * 60_000

/**
 * Open calls and their owners: they are kept with their session, in its slot of a Cluster. And when calls are to be claimed, in one
 * list for all.
 */
export class Takeover extends Quotas implements TakeoverStore, DueCallsStore {
  async listOpenCalls(scope: string): Promise<OpenCall[]> {
    const reply = await this.client.run(scripts.listOpenCalls, [this.keys.session(scope)], [])
    return pairs(reply).map(([callId, owner]) => ({ callId, owner }))
  }

  async claimCall(
    scope: string,
    callId: string,
    { from, to, data, last = '', inbox = '', ttlMs, counts = 1 }: Claim,
  ): Promise<Claimed | undefined> {
    const call = this.keys.call(scope, callId)
    const keys = [this.keys.session(scope), ...call, this.keys.state(scope), this.keys.copy(scope, callId)]
    const reply = await this.write(scripts.claimCall, scripts.keptClaimCall, scope, keys, [
      callId,
      from,
      to,
      data,
      last,
      counts,
      inbox,
      ttlMs === undefined ? '' : expiry(ttlMs),
    ])
    if (reply === null) return undefined
    const [id, claims, whose] = reply as [string, number, string]
    const principal = decodeName(whose)
    if (ttlMs !== undefined && principal !== undefined)
      await this.calls.begun(scope, principal, ttlMs, this.client.deadline())
    return { id, claims }
  }

  async setDue(entry: DueCall, at: number) {
    const keepMs = expiry(Math.max(0, at - Date.now()) + KEEP_DUE_MS)
    await this.client.run(scripts.setDue, [this.keys.due()], [encodeDue(entry), at, keepMs])
  }

  async takeDue(now: number, again: number, limit: number) {
    const reply = await this.client.run(scripts.takeDue, [this.keys.due()], [now, again, limit])
    const [next, ...due] = reply as string[]
    return { due: due.map(decodeDue), next: next === '' ? undefined : Number(next) }
  }

  async removeDue(entries: readonly DueCall[]) {
    if (entries.length > 0)
      await this.client.run(scripts.removeDue, [this.keys.due()], entries.map(encodeDue))
  }
}

export const encodeDue = ({ scope, callId, nonce }: DueCall) => `${scope} ${callId} ${nonce}`

export function decodeDue(entry: string): DueCall {
  const [scope = '', callId = '', nonce = ''] = entry.split(' ')
  return { scope, callId, nonce }
}

function pairs(reply: unknown): Array<[string, string]> {
  const flat = reply as string[]
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
}
