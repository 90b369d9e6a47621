import { createHmac, timingSafeEqual } from 'node:crypto'
import type { EntryId } from '../store/store.js'
import { nameOf, parsePlace } from './place.js'
import type { CallPlace } from './place.js'

/** At least 256 random bits: as bytes, or as a text of at least as many. */
export type RequestStateKey = string | Uint8Array

const STATE = /^(([\w:-]{22,45})\.(\d{1,16}-\d{1,16})(?:\.(\d{1,16}))?)(?:\.([\w-]{43}))?$/

/**
 * What a client sends along with its answers: a handle of the call that asked, and how far its client has heard of it. It holds
 * no state. With keys it is also signed, for its caller and for a time (2026-07-28, "Multi Round-Trip Requests: `requestState`").
 */
export class RequestStates {
  readonly #keys: readonly RequestStateKey[]
  readonly #ttlMs: number

  /** The first of the keys signs; what any of them has signed is valid. */
  constructor(keys: readonly RequestStateKey[], ttlMs: number) {
    this.#keys = keys
    this.#ttlMs = ttlMs
  }

  encode(place: CallPlace, after: EntryId, principal: string | undefined): string {
    const handle = `${nameOf(place)}.${after}`
    const [key] = this.#keys
    if (key === undefined) return handle
    const signed = `${handle}.${Date.now() + this.#ttlMs}`
    return `${signed}.${signatureOf(signed, principal, key).toString('base64url')}`
  }

  /** `undefined`: it is none, or none for this caller now. */
  decode(text: unknown, principal: string | undefined): { place: CallPlace; after: EntryId } | undefined {
    const [, signed = '', name = '', after = '', expiresAt = '', signature = ''] =
      STATE.exec(typeof text === 'string' ? text : '') ?? []
    const place = parsePlace(name)
    if (!place) return undefined
    if (this.#keys.length === 0) return { place, after }
    const given = Buffer.from(signature, 'base64url')
    const isSigned = this.#keys.some((key) => isSame(given, signatureOf(signed, principal, key)))
    return isSigned && Date.now() < Number(expiresAt) ? { place, after } : undefined
  }
}

const signatureOf = (signed: string, principal: string | undefined, key: RequestStateKey) =>
  createHmac('sha256', key)
    .update(JSON.stringify([signed, principal ?? null]))
    .digest()

const isSame = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b)
