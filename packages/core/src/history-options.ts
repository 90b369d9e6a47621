import { checkNames, isList, shown } from './known-options.js'
import type { Keeping } from './store/history.js'

/** What is kept of sessions past their end, for whoever has to answer for it later. */
export type HistoryOptions = {
  /** How long: `30d`, `12h`, `90m`, `45s`, or milliseconds. */
  keep: string | number
  /**
   * Requests that are recorded beside `tools/call`, such as `resources/read`. They are journaled from the start, so their
   * answers are streams that resume. Default: none.
   */
  methods?: readonly string[]
  /** Newest entries of a session that are kept. Default: 10,000. */
  maxEntries?: number
}

export type ParsedHistory = { keeping: Keeping; methods: ReadonlySet<string> }

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const MAX_ENTRIES = 10_000

/** Throws a `TypeError` that names what is wrong. */
export function parseHistory(options: HistoryOptions | undefined): ParsedHistory | undefined {
  if (options === undefined) return undefined
  checkNames('durable(): `history`', options, ['keep', 'methods', 'maxEntries'])
  const { keep, methods = [], maxEntries = MAX_ENTRIES } = options
  const keepMs = typeof keep === 'number' ? keep : msOf(keep)
  if (!(Number.isSafeInteger(keepMs) && keepMs > 0))
    throw new TypeError('durable(): `history.keep` is a time like 30d, 12h, 90m or 45s, or a number of ms.')
  if (!(Number.isSafeInteger(maxEntries) && maxEntries > 0))
    throw new TypeError('durable(): `history.maxEntries` must be a positive whole number.')
  if (!isList(methods))
    throw new TypeError(
      `durable(): \`history.methods\` must be a list: ['resources/read']. It is ${shown(methods)}.`,
    )
  if (methods.includes('initialize'))
    throw new TypeError(
      'durable(): `initialize` is always part of a history; leave it out of `history.methods`.',
    )
  return { keeping: { keepMs, maxEntries }, methods: new Set(methods) }
}

function msOf(text: string): number {
  const [, count = '', unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? []
  return Number(count) * UNITS[unit as keyof typeof UNITS]
}
