import type { OpenCall, StateEntry } from '@mcp-durable/core/store'
import type { Keys } from '../keys.js'
import { decodeName, decodeStateField } from '../replies.js'
import { literally, pairs } from './reading.js'
import type { Reading } from './reading.js'

/** A session without the messages it holds. Times in ms. */
export type InspectedSession = {
  id: string
  principal: string | undefined
  /** What it was created with: the protocol version. */
  protocolVersion: string
  /** Since 1970, by the store's clock; `undefined` for a session of an older version. */
  createdAt: number | undefined
  expiresInMs: number
  /** Version of the newest state entry. */
  version: number
  /** Up to which entry `out` was delivered. */
  delivered: string
  openCalls: OpenCall[]
  /** Messages that the standalone log holds. */
  standalone: number
}

/** `at`: when it was written, in ms since 1970 by the store's clock. */
export type TimedState = StateEntry & { at: number }

const MOST_FOUND = 20

/** Which sessions there are, and what is known of each. */
export class Sessions {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  /** How many there are; may count some that have just expired. */
  count(): Promise<number> {
    return this.#reading.number('ZCARD', this.#keys.sessions())
  }

  /** Ids in the order of their expiry, the last one first: where all live equally long, the last used one. */
  newest(limit: number, skip = 0): Promise<string[]> {
    return this.#reading.texts('ZRANGE', this.#keys.sessions(), skip, skip + limit - 1, 'REV')
  }

  /** Ids that begin with a text; up to 20. */
  async find(beginning: string): Promise<string[]> {
    const found = new Set<string>()
    const pattern = `${literally(beginning)}*`
    for await (const page of this.#reading.members('ZSCAN', this.#keys.sessions(), pattern)) {
      for (const [id] of pairs(page)) found.add(id)
      if (found.size >= MOST_FOUND) break
    }
    return [...found]
  }

  /** Pages of the ids of sessions of which there is a history, be they live or not. An id may come twice. */
  async *kept(): AsyncGenerator<string[]> {
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:{*}:history`)) {
      yield page.flatMap((key) => {
        const place = this.#keys.describe(key)
        return place.kind === 'history' ? [place.scope] : []
      })
    }
  }

  /** `undefined`: unknown, expired or deleted. */
  async read(id: string): Promise<InspectedSession | undefined> {
    const key = this.#keys.session(id)
    const [fields, expiresInMs, openCalls, standalone] = await Promise.all([
      this.#reading.ask('HMGET', [key, 'p', 'l', 'v', 'd', 'c']),
      this.#reading.number('PTTL', key),
      this.openCalls(id),
      this.#reading.number('XLEN', this.#keys.log(id, 'out')),
    ])
    const [principal, protocolVersion, version, delivered, created] = fields as Array<string | null>
    if (principal == null) return undefined
    return {
      id,
      principal: decodeName(principal),
      protocolVersion: protocolVersion ?? '',
      createdAt: created == null ? undefined : Number(created),
      expiresInMs,
      version: Number(version),
      delivered: delivered ?? '',
      openCalls,
      standalone,
    }
  }

  async openCalls(id: string): Promise<OpenCall[]> {
    const calls: OpenCall[] = []
    for await (const page of this.#reading.members('HSCAN', this.#keys.session(id), 'o:*')) {
      for (const [field, owner] of pairs(page)) calls.push({ callId: field.slice(2), owner })
    }
    return calls
  }

  /** The client messages that make up its state, in the order of their versions; only these, where keys are named. */
  async state(id: string, keys?: readonly string[]): Promise<TimedState[]> {
    const entries: TimedState[] = []
    for (const [field, value] of await this.#stateFields(id, keys)) {
      entries.push({ key: field.slice(2), ...decodeStateField(value) })
    }
    return entries.toSorted((a, b) => a.version - b.version)
  }

  async #stateFields(id: string, keys?: readonly string[]): Promise<Array<[string, string]>> {
    const session = this.#keys.session(id)
    if (keys) {
      const fields = keys.map((key) => `s:${key}`)
      const values = (await this.#reading.ask('HMGET', [session, ...fields])) as Array<string | null>
      return fields.flatMap((field, i) => (values[i] == null ? [] : [[field, values[i]] as [string, string]]))
    }
    const all: Array<[string, string]> = []
    for await (const page of this.#reading.members('HSCAN', session, 's:*')) all.push(...pairs(page))
    return all
  }

  /** Session state that tools have set: values by their keys, as they were written. */
  async values(id: string): Promise<Array<{ key: string; version: number; data: string }>> {
    const values: Array<{ key: string; version: number; data: string }> = []
    for await (const page of this.#reading.members('HSCAN', this.#keys.state(id), 'k:*')) {
      for (const [field, value] of pairs(page)) {
        const space = value.indexOf(' ')
        const version = Number(value.slice(0, space))
        values.push({ key: field.slice(2), version, data: value.slice(space + 1) })
      }
    }
    return values.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  }
}
