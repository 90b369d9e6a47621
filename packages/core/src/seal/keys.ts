import { createHash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DerivedKey, extract } from './derived-key.js'
import { LeastUsed } from './least-used.js'

/** 32 random bytes: as they are, or as a text of them in base64 or in hex. */
export type SealKey = string | Uint8Array

/** What the records of one principal are sealed with beside a key. `name` stands in each of them. */
export type Secret = { name: string; bytes: Uint8Array }

const KEY_BYTES = 32
/** Keys of places that are kept at hand: to derive one costs about as much as to seal a small record. */
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

/** What each key is known by. Throws a `TypeError` for what is no key. */
export const sealKeyIds = (keys: readonly SealKey[]): string[] => new SealKeys(keys).ids

type Master = { bytes: Uint8Array; extracted: KeyObject }

/** The keys of a node: the first one seals, all of them open. */
export class SealKeys {
  /** Of the one that seals. */
  readonly current: string | undefined
  readonly #keys: ReadonlyMap<string, Master>
  readonly #derived = new LeastUsed<DerivedKey>(MOST_DERIVED)

  /** Throws a `TypeError` for what is no key. */
  constructor(keys: readonly SealKey[]) {
    const all = keys.map((key) => {
      const given = bytesOfKey(key)
      if (!given)
        throw new TypeError('A key to seal with has 32 bytes, or is a text of them in base64 or hex.')
      // Whoever gave them may wipe them.
      const bytes = Uint8Array.from(given)
      return [idOf(bytes), { bytes, extracted: extract(bytes) }] as const
    })
    this.current = all[0]?.[0]
    this.#keys = new Map(all)
  }

  get ids(): string[] {
    return [...this.#keys.keys()]
  }

  /** The key of a place by the id of the one it is derived from, and by the secret of a principal; `undefined`: it is not there. */
  derive(id: string, root: string, secret?: Secret): DerivedKey | undefined {
    const name = `${id}${secret?.name ?? ''}:${root}`
    const known = this.#derived.get(name)
    if (known) return known
    const master = this.#keys.get(id)
    if (!master) return undefined
    const extracted = secret ? extract(master.bytes, secret.bytes) : master.extracted
    const derived = new DerivedKey(extracted, root)
    this.#derived.set(name, derived)
    return derived
  }
}
