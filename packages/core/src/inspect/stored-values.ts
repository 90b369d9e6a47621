import { decodeValue } from '../context/codec.js'

/** A recorded value: of a step, or of session state. What can't be decoded is given as it is. */
export function decodeStored(data: string): unknown {
  try {
    return decodeValue(data)
  } catch {
    return data
  }
}

/** A value of a sorted map. */
export const decodeStoredBytes = (data: string) => new Uint8Array(Buffer.from(data, 'base64'))
