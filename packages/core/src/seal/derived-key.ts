import { createHmac, createSecretKey, hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

const LABEL = 'mcp-durable seal 1\0'

/** The first half of HKDF-SHA256 (RFC 5869, extract): it is the same for all places of a key. */
export const extract = (key: Uint8Array, salt: Uint8Array = new Uint8Array()): KeyObject =>
  createSecretKey(createHmac('sha256', salt).update(key).digest())

/**
 * What seals the records of one place: the second half (expand). The part for nonces is made when it is asked for, which it seldom is.
 * A `KeyObject` each, since Node.js 24 makes one of bytes at every use, which takes it twice as long as all the rest.
 */
export class DerivedKey {
  readonly cipher: KeyObject
  readonly #extracted: KeyObject
  readonly #root: string
  #nonce: KeyObject | undefined

  constructor(extracted: KeyObject, root: string) {
    this.#extracted = extracted
    this.#root = root
    this.cipher = this.#expand('', '01')
  }

  get nonce(): KeyObject {
    return (this.#nonce ??= this.#expand(this.cipher.export().toString('hex'), '02'))
  }

  /** A name may be longer than what HKDF takes as info: so it is a digest. */
  #expand(before: string, step: string) {
    const info = hash('sha256', LABEL + this.#root, 'hex')
    const bytes = createHmac('sha256', this.#extracted)
      .update(before + info + step, 'hex')
      .digest()
    return createSecretKey(bytes)
  }
}
