import { createHash, createSecretKey, hkdfSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** 32 random bytes: as they are, or as a text of them in base64 or in hex. */
export type SealKey = string | Uint8Array

/** What seals the records of one place. */
export type DerivedKey = { cipher: KeyObject; nonce: KeyObject }

const KEY_BYTES = 32
/** Keys of places that are kept at hand: to derive one costs more than to seal a small record. */
const MOST_DERIVED = 4096
const TEXT = /^(?:[0-9a-f]{64}|[A-Za-z0-9+/]{43}=?|[\w-]{43}=?)$/i

/** The bytes of a key; `undefined` for what is none. */
export function bytesOfKey(key: unknown): Uint8Array | undefined {
  if (key instanceof Uint8Array) return key.length === KEY_BYTES ? key : undefined
  if (typeof key !== 'string' || !TEXT.test(key)) return undefined
  return Buffer.from(key, key.length === 2 * KEY_BYTES ? 'hex' : 'base64')
}

/** What a key is known by: it says nothing of the key, and is written in each record that the key has sealed. */
const idOf = (key: Uint8Array) =>
  createHash('sha256').update('mcp-durable seal key id\0').update(key).digest('hex').slice(0, 8)

/** The keys of a node: the first one seals, all of them open. */
export class SealKeys {
  /** Of the one that seals. */
  readonly current: string | undefined
  readonly #keys: ReadonlyMap<string, Uint8Array>
  readonly #derived = new Map<string, DerivedKey>()

  /** Throws a `TypeError` for what is no key. */
  constructor(keys: readonly SealKey[]) {
    const all = keys.map((key) => {
      const bytes = bytesOfKey(key)
      if (!bytes)
        throw new TypeError('A key to seal with has 32 bytes, or is a text of them in base64 or hex.')
      return [idOf(bytes), bytes] as const
    })
    this.current = all[0]?.[0]
    this.#keys = new Map(all)
  }

  get ids(): string[] {
    return [...this.#keys.keys()]
  }

  /** The key of a place by the id of the one it is derived from; `undefined`: it is not there. */
  derive(id: string, root: string): DerivedKey | undefined {
    const name = `${id}${root}`
    const known = this.#derived.get(name)
    if (known) {
      this.#derived.delete(name)
      this.#derived.set(name, known)
      return known
    }
    const key = this.#keys.get(id)
    if (!key) return undefined
    // A name may be longer than what HKDF takes.
    const info = createHash('sha256').update('mcp-durable seal 1\0').update(root).digest()
    const bytes = new Uint8Array(hkdfSync('sha256', key, '', info, 64))
    const derived = {
      cipher: createSecretKey(bytes.subarray(0, 32)),
      nonce: createSecretKey(bytes.subarray(32)),
    }
    this.#derived.set(name, derived)
    const [oldest] = this.#derived.keys()
    if (this.#derived.size > MOST_DERIVED && oldest !== undefined) this.#derived.delete(oldest)
    return derived
  }
}
