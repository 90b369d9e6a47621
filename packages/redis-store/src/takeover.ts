import type { Claim, Claimed, OpenCall, TakeoverStore } from '@mcp-durable/core/store'
import { Membership } from './membership.js'
import * as scripts from './scripts.generated.js'

/** Open calls and their owners. They are kept with their session, in its slot of a Cluster. */
export class Takeover extends Membership implements TakeoverStore {
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
}

function pairs(reply: unknown): Array<[string, string]> {
  const flat = reply as string[]
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
}
