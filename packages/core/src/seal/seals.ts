import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { SealError } from '../errors.js'
import { SealKeys } from './keys.js'
import type { DerivedKey, SealKey } from './keys.js'
import type { Place, PlaceKind } from './places.js'

/** `keys`: the first one seals, all of them open. `plain`: what becomes of a record that is not sealed. Default: it is read. */
export type SealOptions = { keys: readonly SealKey[]; plain?: 'read' | 'refuse' }

const CIPHER = 'aes-256-gcm'
const BEGINNING = 'sealed:1:'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const POOL_NONCES = 256
let pool = Buffer.alloc(0)
const SEALED = /^sealed:1:([0-9a-f]{8}):([elvsm]):([A-Za-z0-9+/]+=*)$/
/** What stands before the bytes of a record, in characters. */
const HEAD = BEGINNING.length + '00000000:e:'.length

/** The id of the key that a record says it is sealed with; `undefined`: it is not sealed. */
export const sealOf = (text: string): string | undefined =>
  text.startsWith(BEGINNING) ? (SEALED.exec(text)?.[1] ?? '') : undefined

/**
 * Seals and opens records: AES-256-GCM with a key of the record's scope or map, bound to its place.
 *
 * A nonce is 96 random bits, or, where the same record must be sealed to the same bytes again, a MAC of the place and of what is
 * sealed. Two records of one scope have the same one by a chance of 2^-96 for each pair.
 */
export class Seals {
  readonly keys: SealKeys
  readonly #refusesPlain: boolean

  constructor({ keys, plain = 'read' }: SealOptions) {
    this.keys = new SealKeys(keys)
    this.#refusesPlain = plain === 'refuse'
  }

  /** How long a record of so many bytes is, sealed; so a limit of that many bytes means the same. */
  sizeOf(bytes: number) {
    return HEAD + 4 * Math.ceil((bytes + NONCE_BYTES + TAG_BYTES) / 3)
  }

  /** Records of more than `bytes` have at least so many sealed. */
  leastSealed(bytes: number) {
    return this.keys.current === undefined ? bytes : Math.max(1, Math.floor((bytes * 4) / 3))
  }

  /** As it is, if there is no key. `again`: to the same bytes each time. */
  seal(place: Place, data: string, { again = false } = {}): string {
    const id = this.keys.current
    const key = id === undefined ? undefined : this.keys.derive(id, place.root)
    if (id === undefined || !key) return data
    const about = aboutOf(place)
    const nonce = again ? nonceOf(key, about, data) : randomNonce()
    const cipher = createCipheriv(CIPHER, key.cipher, nonce).setAAD(about)
    const bytes = [nonce, cipher.update(data, 'utf8'), cipher.final(), cipher.getAuthTag()]
    return `${BEGINNING}${id}:${place.kind}:${Buffer.concat(bytes).toString('base64')}`
  }

  /** What is sealed anew with the current key; `undefined`: it is already. Throws a `SealError`. */
  reseal(place: Place, text: string): string | undefined {
    return sealOf(text) === this.keys.current ? undefined : this.seal(place, this.open(text, place))
  }

  /** Of places of different kinds, the one that the record says it was sealed for. Throws a `SealError`. */
  open(text: string, ...places: readonly Place[]): string {
    if (!text.startsWith(BEGINNING)) {
      if (this.#refusesPlain) throw new SealError('store-tampered', undefined)
      return text
    }
    const [, id = '', kind = '', coded = ''] = SEALED.exec(text) ?? []
    const place = places.find((each) => each.kind === (kind as PlaceKind))
    if (!place) throw new SealError('store-tampered', id)
    const key = this.keys.derive(id, place.root)
    if (!key) throw new SealError('store-sealed', id)
    const opened = openedWith(key, aboutOf(place), Buffer.from(coded, 'base64'))
    if (opened === undefined) throw new SealError('store-tampered', id)
    return opened
  }
}

const aboutOf = ({ kind, names }: Place) => Buffer.from(JSON.stringify([kind, ...names]))

/** Drawn in bulk; each byte is used once. */
function randomNonce(): Buffer {
  if (pool.length === 0) pool = randomBytes(POOL_NONCES * NONCE_BYTES)
  const nonce = pool.subarray(0, NONCE_BYTES)
  pool = pool.subarray(NONCE_BYTES)
  return nonce
}

/** The length tells what is of the place from what is of the record. */
const nonceOf = (key: DerivedKey, about: Buffer, data: string) =>
  createHmac('sha256', key.nonce)
    .update(`${about.length}:`)
    .update(about)
    .update(data)
    .digest()
    .subarray(0, NONCE_BYTES)

function openedWith(key: DerivedKey, about: Buffer, bytes: Buffer): string | undefined {
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(CIPHER, key.cipher, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(about).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const opened = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
    return Buffer.concat([opened, decipher.final()]).toString()
  } catch {
    return undefined
  }
}
