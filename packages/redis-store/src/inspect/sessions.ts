import type { InspectedSession, SessionsInspection, TimedState } from '@mcp-durable/core/inspect'
import type { OpenCall } from '@mcp-durable/core/store'
import type { Keys } from '../keys.js'
import { decodeName, decodeStateField } from '../replies.js'
import { pairs } from '../replies.js'
import { literally } from './reading.js'
import type { Reading } from './reading.js'

const MOST_FOUND = 20

export class RedisSessions implements SessionsInspection {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  count(): Promise<number> {
    return this.#reading.number('ZCARD', this.#keys.sessions())
  }

  newest(limit: number, skip = 0): Promise<string[]> {
    return this.#reading.texts('ZRANGE', this.#keys.sessions(), skip, skip + limit - 1, 'REV')
  }

  async find(beginning: string): Promise<string[]> {
    const found = new Set<string>()
    const pattern = `${literally(beginning)}*`
    for await (const page of this.#reading.members('ZSCAN', this.#keys.sessions(), pattern)) {
      for (const [id] of pairs(page)) found.add(id)
      if (found.size >= MOST_FOUND) break
    }
    return [...found]
  }

  kept(): AsyncGenerator<string[]> {
    return this.#having('history')
  }

  stateful(): AsyncGenerator<string[]> {
    return this.#having('state')
  }

  async *#having(part: 'history' | 'state'): AsyncGenerator<string[]> {
    for await (const page of this.#reading.keys(`${literally(this.#keys.prefix)}:{*}:${part}`)) {
      yield page.flatMap((key) => {
        const place = this.#keys.describe(key)
        return place.kind === part ? [place.scope] : []
      })
    }
  }

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
      isSession: Number(version) > 0,
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
