import { createHash, randomBytes } from 'node:crypto'
import { SealError, StoreError } from '../errors.js'
import type { Store } from '../store/store.js'
import type { Secret } from './keys.js'
import { LeastUsed } from './least-used.js'
import { valuePlace } from './places.js'
import { isSealedText, secretOf } from './sealed-text.js'
import type { Seals } from './seals.js'

/** For how long a secret is taken from memory: another node may have forgotten its principal. */
const HELD_MS = 60_000
/** The same, for something new, which forgetting did not find. */
const FRESH_MS = 5000
const MOST_PRINCIPALS = 4096
/** Until nobody has used it for so long: longer than what it has sealed is kept. */
const TTL_MS = 10 * 365 * 86_400_000
const MOST_TRIES = 5
const DIGEST_CHARS = 16
const GENERATION_CHARS = 6
const BYTES = 32
const KEY = 'secret'

/** When it was asked for, by the clock of the process. `name`: of the one that was read then. */
type Asked = { at: number; secret: Promise<Secret>; name?: string }

/**
 * A secret of each principal, made when it is first needed, in a store of their own. What is sealed with one can't be opened any more once it was
 * deleted, wherever a copy is; a node that has it in memory asks for it again after a minute.
 *
 * Of two nodes that make the first one at once, one does: the value is written where there is none.
 */
export class Secrets {
  readonly #store: Store
  readonly #seals: Seals
  readonly #current = new LeastUsed<Asked>(MOST_PRINCIPALS)
  /** When what is held was last read. */
  readonly #readAt = new LeastUsed<number>(MOST_PRINCIPALS)

  constructor(store: Store, seals: Seals) {
    this.#store = store
    this.#seals = seals
  }

  /** That of a principal. `isNew`: something begins that is sealed with it. Throws a `StoreError`. */
  async of(principal: string, { isNew = false } = {}): Promise<Secret> {
    const digest = digestOf(principal)
    const known = this.#current.get(digest)
    if (known && performance.now() - known.at < (isNew ? FRESH_MS : HELD_MS)) return known.secret
    const asked = { at: performance.now(), secret: this.#readOrMake(digest) }
    this.#current.set(digest, asked)
    asked.secret.catch(() => this.#current.delete(digest, asked))
    return asked.secret
  }

  /** Reads those that these records need, and are not held. Those of the forgotten are not there then. */
  async bringFor(records: readonly { data: string }[]): Promise<void> {
    const names = new Set<string>()
    for (const { data } of records) {
      const name = secretOf(data)
      if (name !== undefined && !this.#isHeld(name)) names.add(name)
    }
    for (const name of names) {
      const found = await this.#read(name.slice(0, DIGEST_CHARS))
      if (found?.name !== name) this.#seals.held.delete(name)
    }
  }

  /** Deletes it: what it has sealed is forgotten with that. No-op when there is none. */
  async forget(principal: string): Promise<void> {
    const digest = digestOf(principal)
    await this.#store.forget({ scope: scopeOf(digest) })
    // What was asked for before is not held afterwards.
    await this.#current.get(digest)?.secret.catch(() => undefined)
    this.#current.delete(digest)
    this.#seals.held.deleteAll(digest)
  }

  #isHeld(name: string) {
    const at = this.#readAt.get(name)
    return at !== undefined && performance.now() - at < HELD_MS && this.#seals.held.get(name) !== undefined
  }

  async #readOrMake(digest: string): Promise<Secret> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const [found] = await Promise.all([
        this.#read(digest),
        this.#store.useScope(scopeOf(digest), undefined),
      ])
      const secret = found ?? (await this.#make(digest))
      if (secret) return secret
    }
    throw new StoreError('store-failed', 'The secret of a principal was deleted again and again.')
  }

  async #read(digest: string): Promise<Secret | undefined> {
    const scope = scopeOf(digest)
    const at = performance.now()
    const value = await this.#store.readValue(scope, KEY)
    if (!value) return undefined
    // One of somebody else's making would be known to others, and could not be forgotten.
    if (!isSealedText(value.data)) throw new SealError('store-tampered', undefined, { isSecret: true })
    const [generation = '', coded = ''] = this.#seals.open(value.data, valuePlace(scope, KEY)).split(' ')
    const secret = this.#hold({ name: digest + generation, bytes: Buffer.from(coded, 'base64') })
    this.#replace(digest, secret, at)
    return secret
  }

  /** Another one than is known: the principal was forgotten on another node, and is back. What waits for the other one goes first, so all stays in order. */
  #replace(digest: string, secret: Secret, at: number) {
    const known = this.#current.get(digest)
    if (!known || known.name === secret.name || known.at > at) return
    const give = () => secret
    this.#current.set(digest, { at, secret: known.secret.then(give, give), name: secret.name })
  }

  /** `undefined`: another node has made one. */
  async #make(digest: string): Promise<Secret | undefined> {
    const scope = scopeOf(digest)
    const bytes = randomBytes(BYTES)
    // Tells those apart that one principal has had.
    const generation = randomBytes(GENERATION_CHARS).toString('base64url').slice(0, GENERATION_CHARS)
    const text = `${generation} ${bytes.toString('base64')}`
    const data = this.#seals.seal(valuePlace(scope, KEY), text)
    const begins = { principal: undefined, ttlMs: TTL_MS }
    const outcome = await this.#store.writeValue(scope, KEY, 0, data, { begins })
    return typeof outcome === 'number' ? this.#hold({ name: digest + generation, bytes }) : undefined
  }

  #hold(secret: Secret) {
    this.#seals.held.set(secret.name, secret)
    this.#readAt.set(secret.name, performance.now())
    return secret
  }
}

const digestOf = (principal: string) =>
  createHash('sha256')
    .update('mcp-durable seal secret\0')
    .update(principal)
    .digest('base64url')
    .slice(0, DIGEST_CHARS)

const scopeOf = (digest: string) => `secret-${digest}`
