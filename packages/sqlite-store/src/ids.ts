import type { EntryId } from '@mcp-durable/core/store'

const ENTRY_ID = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/

/** `undefined`: no log holds such an id. */
export function splitId(id: EntryId): [time: number, seq: number] | undefined {
  if (!ENTRY_ID.test(id)) return undefined
  const dash = id.indexOf('-')
  const [time, seq] = [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
  return Number.isSafeInteger(time) && Number.isSafeInteger(seq) ? [time, seq] : undefined
}
