import type { LogsInspection, TimedEntry } from '@mcp-durable/core/inspect'
import type { EntryId, LogName } from '@mcp-durable/core/store'
import type { Keys } from '../keys.js'
import type { Reading } from './reading.js'

type RawEntry = [id: string, fields: string[]]

export class RedisLogs implements LogsInspection {
  readonly #reading: Reading
  readonly #keys: Keys

  constructor(reading: Reading, keys: Keys) {
    this.#reading = reading
    this.#keys = keys
  }

  async read(scope: string, log: LogName, after: EntryId | undefined, limit: number): Promise<TimedEntry[]> {
    const from = after === undefined ? '-' : `(${after}`
    return this.#entries('XRANGE', [this.#keys.log(scope, log), from, '+', 'COUNT', limit])
  }

  async newest(scope: string, log: LogName, limit: number): Promise<TimedEntry[]> {
    const key = this.#keys.log(scope, log)
    return (await this.#entries('XREVRANGE', [key, '+', '-', 'COUNT', limit])).toReversed()
  }

  size(scope: string, log: LogName): Promise<number> {
    return this.#reading.number('XLEN', this.#keys.log(scope, log))
  }

  async expiresInMs(scope: string, log: LogName): Promise<number | undefined> {
    const ms = await this.#reading.number('PTTL', this.#keys.log(scope, log))
    return ms < 0 ? undefined : ms
  }

  async #entries(command: 'XRANGE' | 'XREVRANGE', args: (string | number)[]): Promise<TimedEntry[]> {
    return ((await this.#reading.ask(command, args)) as RawEntry[]).map(timed)
  }
}

/** `d` is the data; `t` says how long after the time in its id it was written, where that differs. */
function timed([id, fields]: RawEntry): TimedEntry {
  const field = (name: string) => fields.findIndex((text, index) => index % 2 === 0 && text === name) + 1
  const data = fields[field('d')] ?? ''
  const after = field('t') > 0 ? Number(fields[field('t')]) : 0
  return { id, data, at: Number.parseInt(id, 10) + after }
}
