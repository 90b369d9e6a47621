import type { Keys } from '../keys.js'
import { literally, pairs } from './reading.js'
import type { Reading } from './reading.js'

export type CallPlace = { scope: string; callId: string }

const MOST_FOUND = 20

/** Which calls have a journal, open or ended. */
export class CallJournals {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  /** Ids of a session's calls, in no order. */
  async of(scope: string): Promise<string[]> {
    const [open, ended] = await Promise.all([
      this.#idsAmong('HSCAN', this.#keys.session(scope), 'o:'),
      this.#idsAmong('ZSCAN', this.#keys.ended(scope), 'call:'),
    ])
    return [...new Set([...open, ...ended.filter((id) => !id.endsWith(':in'))])]
  }

  async #idsAmong(command: 'HSCAN' | 'ZSCAN', key: string, prefix: string): Promise<string[]> {
    const ids: string[] = []
    for await (const page of this.#reading.members(command, key, `${prefix}*`)) {
      for (const [name] of pairs(page)) ids.push(name.slice(prefix.length))
    }
    return ids
  }

  /** Calls of all sessions whose ids begin with a text; up to 20. They are found among the keys. */
  async find(beginning: string): Promise<CallPlace[]> {
    const found = new Map<string, CallPlace>()
    const pattern = `${literally(this.#keys.prefix)}:{*}:call:${literally(beginning)}*`
    for await (const page of this.#reading.keys(pattern)) {
      for (const place of this.#places(page)) found.set(`${place.scope} ${place.callId}`, place)
      if (found.size >= MOST_FOUND) break
    }
    return [...found.values()]
  }

  #places(keys: readonly string[]): CallPlace[] {
    return keys.flatMap((key) => {
      const place = this.#keys.describe(key)
      return place.kind === 'journal' ? [{ scope: place.scope, callId: place.callId }] : []
    })
  }
}
