import { sealOf } from './sealed-text.js'

/** In place of what a record holds: which key it is sealed with; `undefined`: it is not sealed. */
export function describeSealed(data: string): string | undefined {
  const keyId = sealOf(data)
  if (keyId === undefined) return undefined
  return keyId === '' ? '(sealed)' : `(sealed, key ${keyId})`
}
