import { createCipheriv, createDecipheriv, createHmac, randomFillSync } from 'node:crypto'
import { SealError } from '../errors.js'
import type { Store } from '../store/store.js'
import type { DerivedKey } from './derived-key.js'
import { SealKeys } from './keys.js'
import type { Secret, SealKey } from './keys.js'
import { LeastUsed } from './least-used.js'
import type { Place } from './places.js'
import { charsOf, isSealedText, readSealedText, sealedText, sealOf } from './sealed-text.js'

/**
 * `keys`: the first one seals, all of them open. `plain`: what becomes of a record that is not sealed. Default: it is read. `secrets`: another store, for a
 * secret of each principal; what is sealed with it can't be read by anybody once the principal is forgotten. Default: there are none.
 */
export type SealOptions = { keys: readonly SealKey[]; plain?: 'read' | 'refuse'; secrets?: Store }

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const POOL_NONCES = 256
const MOST_SECRETS = 4096
const pool = Buffer.alloc(POOL_NONCES * NONCE_BYTES)
let drawn = pool.length

/**
 * Seals and opens records: AES-256-GCM with a key of the record's scope or map, bound to its place.
 *
 * A nonce is 96 random bits, or, where the same record must be sealed to the same bytes again, a MAC of the place and of what is
 * sealed. Two records of one scope have the same one by a chance of 2^-96 for each pair.
 */
export class Seals {
  readonly keys: SealKeys
  /** Those at hand, by their names: what else is needed must be brought here first. */
  readonly held = new LeastUsed<Secret>(MOST_SECRETS)
  readonly hasSecrets: boolean
  readonly #refusesPlain: boolean

  constructor({ keys, plain = 'read', secrets }: SealOptions) {
    this.keys = new SealKeys(keys)
    this.hasSecrets = secrets !== undefined
    this.#refusesPlain = plain === 'refuse'
  }

  /** How long a record of so many bytes is, sealed; so a limit of that many bytes means the same. */
  sizeOf(bytes: number) {
    return charsOf(bytes + NONCE_BYTES + TAG_BYTES, this.hasSecrets)
  }

  /** Records of more than `bytes` have at least so many sealed. */
  leastSealed(bytes: number) {
    return this.keys.current === undefined ? bytes : Math.max(1, Math.floor((bytes * 4) / 3))
  }

  /** As it is, if there is no key. `again`: to the same bytes each time. */
  seal(
    place: Place,
    data: string,
    { again = false, secret }: { again?: boolean; secret?: Secret | undefined } = {},
  ) {
    const id = this.keys.current
    const key = id === undefined ? undefined : this.keys.derive(id, place.root, secret)
    if (id === undefined || !key) return data
    const about = aboutOf(place)
    const nonce = again ? nonceOf(key, about, data) : randomNonce()
    const cipher = createCipheriv(CIPHER, key.cipher, nonce).setAAD(about)
    const text = cipher.update(data, 'utf8')
    // In this mode nothing is left to the end but the tag.
    cipher.final()
    const bytes = Buffer.allocUnsafe(NONCE_BYTES + text.length + TAG_BYTES)
    bytes.set(nonce)
    bytes.set(text, NONCE_BYTES)
    bytes.set(cipher.getAuthTag(), NONCE_BYTES + text.length)
    return sealedText({ id, kind: place.kind, secret: secret?.name, bytes })
  }

  /** What is sealed anew with the current key; `undefined`: it is already. Throws a `SealError`. */
  reseal(place: Place, text: string): string | undefined {
    if (sealOf(text) === this.keys.current) return undefined
    const name = readSealedText(text)?.secret
    const secret = name === undefined ? undefined : this.held.get(name)
    return this.seal(place, this.open(text, place), { secret })
  }

  /** Of places of different kinds, the one that the record says it was sealed for. Throws a `SealError`. */
  open(text: string, ...places: readonly Place[]): string {
    if (!isSealedText(text)) {
      if (this.#refusesPlain) throw new SealError('store-tampered', undefined)
      return text
    }
    const { id = sealOf(text), kind, secret: name, bytes } = readSealedText(text) ?? {}
    const place = places.find((each) => each.kind === kind)
    if (id === undefined || !place || !bytes) throw new SealError('store-tampered', id ?? '')
    const lacksSecrets = name !== undefined && !this.hasSecrets
    if (lacksSecrets) throw new SealError('store-sealed', id, { lacksSecrets })
    const secret = name === undefined ? undefined : this.held.get(name)
    if (name !== undefined && !secret) throw new SealError('store-forgotten', id)
    const key = this.keys.derive(id, place.root, secret)
    if (!key) throw new SealError('store-sealed', id)
    const opened = openedWith(key, aboutOf(place), bytes)
    if (opened === undefined) throw new SealError('store-tampered', id)
    return opened
  }
}

const aboutOf = ({ kind, names }: Place) => Buffer.from(JSON.stringify([kind, ...names]))

/** Drawn in bulk; each byte is used once. It is to be used before the next one is asked for. */
function randomNonce(): Buffer {
  if (drawn === pool.length) {
    randomFillSync(pool)
    drawn = 0
  }
  drawn += NONCE_BYTES
  return pool.subarray(drawn - NONCE_BYTES, drawn)
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
    // In this mode it holds nothing more: it throws, if the tag is not right.
    decipher.final()
    return opened.toString()
  } catch {
    return undefined
  }
}
