import type {
  ContextStore,
  Durability,
  Keeping,
  MapChange,
  MapRange,
  NewScope,
  WriteOptions,
} from '@mcp-durable/core/store'
import { CallIndex } from './call-index.js'
import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import type { Keys } from './keys.js'
import { encodeName } from './replies.js'
import * as scripts from './scripts.generated.js'
import { SessionIndex } from './session-index.js'

/** Longer than a call can stay open; a change that a call repeats later than that would apply again. */
export const MARK_MS = 7 * 24 * 60 * 60_000

/** State and sorted maps. A map lives in a slot of its own, apart from the sessions that use it. */
export class ValuesAndMaps implements ContextStore {
  protected readonly index: SessionIndex
  protected readonly calls: CallIndex

  constructor(
    protected readonly client: Client,
    protected readonly keys: Keys,
    protected readonly kept: Keeping | undefined,
    protected readonly durability: Durability,
  ) {
    this.index = new SessionIndex(client, keys)
    this.calls = new CallIndex(client, keys, kept?.keepMs)
  }

  /** Runs a script, or the one that also keeps a history, where one is kept. */
  protected write(
    plain: scripts.Script,
    keeping: scripts.Script,
    scope: string,
    keys: string[],
    args: (string | number)[],
    deadline?: Deadline,
    durability = this.durability,
  ): Promise<unknown> {
    if (!this.kept) return this.client.write(plain, keys, args, durability, deadline)
    const { keepMs, maxEntries } = this.kept
    const all = [...args, Math.ceil(keepMs), maxEntries]
    return this.client.write(keeping, [...keys, this.keys.history(scope)], all, durability, deadline)
  }

  async readValue(scope: string, key: string) {
    const reply = await this.client.run(scripts.readValue, [this.keys.state(scope)], [key])
    if (reply === null) return undefined
    const value = reply as string
    const space = value.indexOf(' ')
    return { version: Number(value.slice(0, space)), data: value.slice(space + 1) }
  }

  async writeValue(
    scope: string,
    key: string,
    expected: number,
    data: string | undefined,
    { mark = '', formerMark = '', markMs = MARK_MS, begins, maxBytes }: WriteOptions = {},
  ) {
    const keys = this.keys.ofValues(scope)
    const args = [key, expected, data === undefined ? 'delete' : 'set', data ?? '', mark, expiry(markMs)]
    const whose = begins ? [encodeName(begins.principal), expiry(begins.ttlMs)] : ['', '']
    const deadline = this.client.deadline()
    // Sent first: what names the scope may name one that is not there, and never lacks one that is.
    const listed = begins && this.index.holdsValues(scope, begins, deadline)
    const written = this.client.write(
      scripts.writeValue,
      keys,
      [...args, ...whose, maxBytes ?? '', formerMark],
      this.durability,
      deadline,
    )
    const [reply] = await Promise.all([written, listed])
    return isNumber(reply) ? Number(reply) : (reply as 'conflict' | 'unknown' | 'repeated' | 'full')
  }

  async beginScope(scope: string, whose: NewScope, limits: { maxPerPrincipal: number }) {
    const deadline = this.client.deadline()
    if (!(await this.index.holdsValues(scope, whose, deadline, limits.maxPerPrincipal))) return 'limit'
    const args = [encodeName(whose.principal), expiry(whose.ttlMs)]
    await this.client.run(scripts.beginScope, this.keys.ofValues(scope), args, deadline)
    return 'begun'
  }

  async useScope(scope: string, principal: string | undefined) {
    const ttlMs = await this.client.run(scripts.useScope, this.keys.ofValues(scope), [encodeName(principal)])
    if (ttlMs === null) return false
    this.index.refreshValues(scope, { principal, ttlMs: Number(ttlMs) })
    return true
  }

  async changeMap(map: string, { set, remove }: MapChange, mark = '', formerMark = '') {
    const args = [mark, formerMark, MARK_MS, set.length, ...set.flat(), ...remove]
    const reply = await this.client.write(scripts.changeMap, this.keys.map(map), args, this.durability)
    return reply as 'applied' | 'repeated'
  }

  async replaceInMap(map: string, key: string, from: string, to: string) {
    const [, values = ''] = this.keys.map(map)
    return Number(await this.client.run(scripts.replaceInMap, [values], [key, from, to])) === 1
  }

  async readMap(map: string, keys: readonly string[]) {
    const [, values = ''] = this.keys.map(map)
    const reply = await this.client.run(scripts.readMap, [values], [...keys])
    return (reply as Array<string | null>).map((value) => value ?? undefined)
  }

  async rangeMap(
    map: string,
    { from, to, after, reverse, limit, maxBytes }: MapRange,
  ): Promise<Array<[string, string]>> {
    const low = !reverse && isAbove(after, from) ? `(${after}` : from === undefined ? '-' : `[${from}`
    const high = reverse && isBelow(after, to) ? `(${after}` : to === undefined ? '+' : `(${to}`
    const [keys = '', values = ''] = this.keys.map(map)
    const bounds = reverse ? ['ZREVRANGEBYLEX', high, low] : ['ZRANGEBYLEX', low, high]
    const args = [...bounds, limit, maxBytes ?? '']
    const flat = (await this.client.run(scripts.rangeMap, [keys, values], args)) as string[]
    return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
  }
}

/** Redis takes whole milliseconds, and 0 would delete at once. */
export function expiry(ms: number) {
  return Math.max(1, Math.ceil(ms))
}

const isNumber = (reply: unknown) => /^\d+$/.test(String(reply))

/** Redis compares keys by their bytes. */
const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

const isAbove = (after: string | undefined, from: string | undefined) =>
  after !== undefined && (from === undefined || compareBytes(after, from) >= 0)

const isBelow = (after: string | undefined, to: string | undefined) =>
  after !== undefined && (to === undefined || compareBytes(after, to) < 0)
