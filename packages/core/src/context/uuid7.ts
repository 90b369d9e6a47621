import { randomBytes } from 'node:crypto'

/** A UUID of version 7 (RFC 9562): ids made later sort later, to the millisecond. */
export function uuid7(time: number = Date.now()): string {
  return uuid7Of(time, randomBytes(TAIL_BYTES))
}

/** `tail`: as many random bytes as `TAIL_BYTES`. */
export const uuid7Of = (time: number, tail: Uint8Array) => format(time, tail)
export const TAIL_BYTES = 10

/** Sorts before every UUIDv7 of this millisecond and after all earlier ones: a bound for ranges of time. */
export function uuid7Floor(time: number | Date): string {
  return format(Number(time), Buffer.alloc(TAIL_BYTES))
}

function format(time: number, tail: Uint8Array): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(Math.trunc(time), 0, 6)
  bytes.set(tail, 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
