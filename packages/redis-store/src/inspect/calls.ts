import type { CallPlace, CallsInspection, InspectedCall } from '@mcp-durable/core/inspect'
import type { Keys } from '../keys.js'
import { decodeName } from '../replies.js'
import { pairs } from '../replies.js'
import { literally } from './reading.js'
import type { Reading } from './reading.js'

const MOST_FOUND = 20
const PAGE = 500

export class RedisCalls implements CallsInspection {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

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

  /** They are found among the keys. */
  async find(beginning: string): Promise<CallPlace[]> {
    const found = new Map<string, CallPlace>()
    for await (const page of this.#among(`${literally(beginning)}*`)) {
      for (const place of page) found.set(`${place.scope} ${place.callId}`, place)
      if (found.size >= MOST_FOUND) break
    }
    return [...found.values()]
  }

  /** Found among the keys. */
  all(): AsyncGenerator<CallPlace[]> {
    return this.#among('*')
  }

  async *ofPrincipal(principal: string): AsyncGenerator<CallPlace[]> {
    for (const index of [...this.#keys.calls(principal), this.#keys.principal(principal)]) {
      for (let from = 0; ; from += PAGE) {
        const scopes = await this.#reading.texts('ZRANGE', index, from, from + PAGE - 1)
        const places = scopes.map(async (scope) =>
          (await this.of(scope)).map((callId): CallPlace => ({ scope, callId })),
        )
        yield (await Promise.all(places)).flat()
        if (scopes.length < PAGE) break
      }
    }
  }

  async read({ scope, callId }: CallPlace): Promise<InspectedCall | undefined> {
    const fields = await this.#reading.ask('HMGET', [this.#keys.session(scope), 'p', 'l', 'v', `o:${callId}`])
    const [principal, protocolVersion, version, owner] = fields as Array<string | null>
    if (principal == null) return undefined
    return {
      scope,
      callId,
      owner: owner ?? undefined,
      principal: decodeName(principal),
      protocolVersion: protocolVersion ?? '',
      inSession: Number(version) > 0,
    }
  }

  async *#among(callIds: string): AsyncGenerator<CallPlace[]> {
    const pattern = `${literally(this.#keys.prefix)}:{*}:call:${callIds}`
    for await (const page of this.#reading.keys(pattern)) yield this.#places(page)
  }

  #places(keys: readonly string[]): CallPlace[] {
    return keys.flatMap((key) => {
      const place = this.#keys.describe(key)
      return place.kind === 'journal' ? [{ scope: place.scope, callId: place.callId }] : []
    })
  }
}
