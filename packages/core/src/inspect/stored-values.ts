import { describeSealed } from '../seal/describe-sealed.js'
import { decodeValue } from '../context/codec.js'

/** A recorded value: of a step, or of session state. What is sealed is said to be; what can't be decoded is given as it is. */
export function decodeStored(data: string): unknown {
  const sealed = describeSealed(data)
  if (sealed !== undefined) return sealed
  try {
    return decodeValue(data)
  } catch {
    return data
  }
}

/** A value of a sorted map; of what is sealed, the text that says so. */
export function decodeStoredBytes(data: string): Uint8Array {
  const sealed = describeSealed(data)
  return new Uint8Array(sealed === undefined ? Buffer.from(data, 'base64') : Buffer.from(sealed))
}
