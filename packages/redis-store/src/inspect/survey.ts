import type { KeyPlace, Keys } from '../keys.js'
import { literally } from './reading.js'
import type { Reading } from './reading.js'

/** One key of the system. `ttlMs` is `undefined` where it never expires. */
export type SurveyedKey = { key: string; place: KeyPlace; ttlMs: number | undefined; bytes: number }

/** Walks over all keys. */
export class Survey {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  /** Page by page, with their memory and expiry; those that go meanwhile are left out. A key may come twice. */
  async *keys(): AsyncGenerator<SurveyedKey[]> {
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:*`)) {
      const measured = await Promise.all(page.map((key) => this.#measure(key)))
      yield measured.filter((key) => key !== undefined)
    }
  }

  async #measure(key: string): Promise<SurveyedKey | undefined> {
    const [ttl, bytes] = await Promise.all([
      this.#reading.number('PTTL', key),
      this.#reading.ask('MEMORY', ['USAGE', key]),
    ])
    if (ttl === -2 || bytes === null) return undefined
    return {
      key,
      place: this.#keys.describe(key),
      ttlMs: ttl === -1 ? undefined : ttl,
      bytes: Number(bytes),
    }
  }
}
