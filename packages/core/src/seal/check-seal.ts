import { checkNames } from '../known-options.js'
import { bytesOfKey } from './keys.js'

const RIGHT =
  "{ keys: [current, …older] }, each 32 random bytes, or a text of them in base64 or hex; `plain`, 'read' or 'refuse'; and `secrets`, another store"

/** Throws a `TypeError` that names what is wrong, and repeats no value: it may be a key. */
export function checkSeal(where: string, given: unknown) {
  if (typeof given !== 'object' || given === null) throw new TypeError(`${where}: it takes ${RIGHT}.`)
  checkNames(where, given, ['keys', 'plain', 'secrets'])
  const { keys, plain = 'read', secrets } = given as { keys?: unknown; plain?: unknown; secrets?: unknown }
  const areKeys = Array.isArray(keys) && keys.length > 0 && keys.every((key) => bytesOfKey(key) !== undefined)
  const isStore =
    secrets === undefined || typeof (secrets as { writeValue?: unknown }).writeValue === 'function'
  if (!areKeys || !isStore || !['read', 'refuse'].includes(plain as string))
    throw new TypeError(`${where}: sealing takes ${RIGHT}. A new key: openssl rand -base64 32.`)
}
