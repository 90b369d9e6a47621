import { checkNames } from '../known-options.js'
import { bytesOfKey } from './keys.js'

const RIGHT =
  "{ keys: [current, …older] }, each 32 random bytes, or a text of them in base64 or hex; and `plain`, 'read' or 'refuse'"

/** Throws a `TypeError` that names what is wrong, and repeats no value: it may be a key. */
export function checkSeal(where: string, given: unknown) {
  if (typeof given !== 'object' || given === null) throw new TypeError(`${where}: it takes ${RIGHT}.`)
  checkNames(where, given, ['keys', 'plain'])
  const { keys, plain = 'read' } = given as { keys?: unknown; plain?: unknown }
  const areKeys = Array.isArray(keys) && keys.length > 0 && keys.every((key) => bytesOfKey(key) !== undefined)
  if (!areKeys || !['read', 'refuse'].includes(plain as string))
    throw new TypeError(`${where}: sealing takes ${RIGHT}. A new key: openssl rand -base64 32.`)
}
