import { createHash, createHmac, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

const LABEL = 'mcp-durable seal 1\0'

/** The first half of HKDF-SHA256 (RFC 5869, extract): it is the same for all places of a key. */
export const extract = (key: Uint8Array, salt: Uint8Array = new Uint8Array()): KeyObject =>
  createSecretKey(createHmac('sha256', salt).update(key).digest())

/** What seals the records of one place: the second half (expand). The part for nonces is made when it is asked for, which it seldom is. */
export class DerivedKey {
  readonly cipher: KeyObject
  readonly #extracted: KeyObject
  readonly #info: Buffer
  #nonce: KeyObject | undefined

  constructor(extracted: KeyObject, root: string) {
    this.#extracted = extracted
    // A name may be longer than what HKDF takes.
    this.#info = createHash('sha256').update(LABEL).update(root).digest()
    this.cipher = createSecretKey(this.#expand(1))
  }

  get nonce(): KeyObject {
    this.#nonce ??= createSecretKey(this.#expand(2, this.cipher.export()))
    return this.#nonce
  }

  #expand(step: number, before: Uint8Array = new Uint8Array()) {
    const mac = createHmac('sha256', this.#extracted).update(before).update(this.#info)
    return mac.update(Uint8Array.of(step)).digest()
  }
}
