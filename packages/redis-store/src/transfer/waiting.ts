import type { WaitingPiece } from '@mcp-durable/core/transfer'
import { pairs } from '../replies.js'
import type { Reading } from '../inspect/reading.js'
import type { Keys } from '../keys.js'
import { decodeOwner } from '../quotas.js'
import { quotaOf } from './names.js'

/** As the scripts keep it: quotas by their keys. */
type Wait = { at: number; on: string; quotas: Array<{ key: string; most: number; window: number | false }> }

/** In the order in which they came. */
export async function* waitingPieces(reading: Reading, keys: Keys): AsyncGenerator<WaitingPiece, void> {
  const waits = new Map<string, Wait>()
  for await (const page of reading.members('HSCAN', `${keys.quotas()}:waits`))
    for (const [call, text] of pairs(page)) waits.set(call, JSON.parse(text) as Wait)
  for (const [call, { at, on, quotas }] of [...waits].toSorted(([, a], [, b]) => a.at - b.at)) {
    const given = await reading.ask('ZSCORE', [`${keys.quotas()}:given`, call])
    yield {
      kind: 'waiting',
      call: decodeOwner(call),
      at,
      on: quotaOf(keys, on) ?? '',
      quotas: quotas.map(({ key, most, window }) => ({
        name: quotaOf(keys, key) ?? '',
        most,
        ...(window !== false && { windowMs: window }),
      })),
      givenAt: given === null ? undefined : Number(given),
    }
  }
}

export function encodeWait(keys: Keys, { at, on, quotas }: WaitingPiece): string {
  const wait: Wait = {
    at,
    on: keys.quota(on),
    quotas: quotas.map(({ name, most, windowMs }) => ({
      key: keys.quota(name),
      most,
      window: windowMs ?? false,
    })),
  }
  return JSON.stringify(wait)
}
