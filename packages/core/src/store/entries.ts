/** `<number>-<number>`; ids grow within one log, and compare by their numbers. */
export type EntryId = string
export const BEGINNING: EntryId = '0-0'
export const OLDEST: EntryId = '-'

/** `out`: messages for the standalone stream. `call:<id>:in`: the inbox of a call. `call:<id>`: its journal. */
export type SharedLog = 'out' | `call:${string}:in`
export type LogName = SharedLog | `call:${string}`

export type Entry = { id: EntryId; data: string }
/** Of their data, in UTF-8. */
export const bytesOf = (entries: readonly Entry[]) =>
  entries.reduce((bytes, { data }) => bytes + Buffer.byteLength(data), 0)

/** Orders entry ids: negative when `a` is older than `b`. */
export function compareIds(a: EntryId, b: EntryId): number {
  const [aTime, aSeq] = splitId(a)
  const [bTime, bSeq] = splitId(b)
  return aTime - bTime || aSeq - bSeq
}

export function splitId(id: EntryId): [number, number] {
  const dash = id.indexOf('-')
  return [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
}
