import { parse, stringify } from 'devalue'

/**
 * How values are recorded: JSON that keeps what JSON loses (big ints, dates, bytes, maps, sets, `undefined`,
 * NaN, repeated references). Functions, symbols, promises and instances of classes have no such form.
 */
export function encodeValue(value: unknown): string {
  if (isItsOwnCopy(value)) return `[${JSON.stringify(value)}]`
  return stringify(value, { View: wholeView })
}

export function decodeValue(text: string): unknown {
  return parse(text, { View: (view) => view })
}

/** True for values that are the same when they are encoded and decoded, and that JSON has as they are: most of those that steps have. */
export function isItsOwnCopy(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  return typeof value === 'string' || typeof value === 'boolean' || value === null
}

/** True for values that can be recorded. */
export function isEncodable(value: unknown): boolean {
  try {
    encodeValue(value)
    return true
  } catch {
    return false
  }
}

/**
 * A view may be a window onto a large buffer, such as the pool that small buffers of Node.js share. Recorded as it is,
 * it would carry all of that with it, and with it what others have there. (devalue itself sees to `Buffer` alone.)
 */
function wholeView(value: unknown): unknown {
  if (!ArrayBuffer.isView(value) || Buffer.isBuffer(value)) return undefined
  if (value.byteLength === value.buffer.byteLength) return undefined
  const { buffer, byteOffset, byteLength } = value
  const own = buffer.slice(byteOffset, byteOffset + byteLength)
  return new (value.constructor as new (buffer: ArrayBufferLike) => ArrayBufferView)(own)
}
