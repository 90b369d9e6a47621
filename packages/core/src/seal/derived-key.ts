import { createHmac, hash } from 'node:crypto'

const LABEL = 'mcp-durable seal 1\0'

/** The first half of HKDF-SHA256 (RFC 5869, extract): it is the same for all places of a key. */
export const extract = (key: Uint8Array, salt: Uint8Array = new Uint8Array()): Buffer =>
  createHmac('sha256', salt).update(key).digest()

/**
 * What seals the records of one place: the second half (expand). The part for nonces is made when it is asked for, which it seldom is.
 * Bytes and no `KeyObject`: that costs as much to make as to derive it, and more to collect.
 */
export class DerivedKey {
  readonly cipher: Buffer
  readonly #extracted: Uint8Array
  readonly #root: string
  #nonce: Buffer | undefined

  constructor(extracted: Uint8Array, root: string) {
    this.#extracted = extracted
    this.#root = root
    this.cipher = this.#expand('', '01')
  }

  get nonce(): Buffer {
    return (this.#nonce ??= this.#expand(this.cipher.toString('hex'), '02'))
  }

  /** A name may be longer than what HKDF takes as info: so it is a digest. */
  #expand(before: string, step: string) {
    const info = hash('sha256', LABEL + this.#root, 'hex')
    return createHmac('sha256', this.#extracted)
      .update(before + info + step, 'hex')
      .digest()
  }
}
