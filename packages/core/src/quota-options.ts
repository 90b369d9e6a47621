import { checkNames, shown } from './known-options.js'

/**
 * How many calls of tools there may be, over all nodes. Of the tool of that name, or of all tools together; of each principal, or of all
 * together. Of each quota, give one limit or more; a call needs a place in all that it falls under.
 */
export type QuotaOptions = {
  /** Default: all tools together. */
  tool?: string
  /** Each principal has a quota of its own; calls without a principal are not counted. Default: false. */
  perPrincipal?: boolean
  /** Calls that are open: those that run, that wait for their client or for a time, and tasks that wait for their turn. */
  maxOpen?: number
  /** Calls that are started within any 60 s. */
  startsPerMinute?: number
  /** Calls that run, which those that only wait for their client, or for a time, do not. */
  runsAtOnce?: number
}

const LIMITS = ['maxOpen', 'startsPerMinute', 'runsAtOnce'] as const
const WHERE = 'durable(): `quotas`'

/** Throws a `TypeError` that names what is wrong. */
export function checkQuotas(quotas: readonly QuotaOptions[] = []) {
  const seen = new Set<string>()
  for (const quota of quotas) {
    checkNames(WHERE, quota, ['tool', 'perPrincipal', ...LIMITS])
    const { tool, perPrincipal = false } = quota
    if (tool !== undefined && (typeof tool !== 'string' || tool === ''))
      throw new TypeError(`${WHERE}: \`tool\` is the name of a tool. It is ${shown(tool)}.`)
    if (typeof perPrincipal !== 'boolean')
      throw new TypeError(`${WHERE}: \`perPrincipal\` is true or false. It is ${shown(perPrincipal)}.`)
    const limits = LIMITS.filter((limit) => quota[limit] !== undefined)
    if (limits.length === 0) throw new TypeError(`${WHERE}: each has one of ${LIMITS.join(', ')}, or more.`)
    for (const limit of limits) {
      if (!(Number.isSafeInteger(quota[limit]) && Number(quota[limit]) > 0))
        throw new TypeError(
          `${WHERE}: \`${limit}\` must be a positive whole number. It is ${shown(quota[limit])}.`,
        )
      const what = JSON.stringify([tool, perPrincipal, limit])
      if (seen.has(what)) throw new TypeError(`${WHERE}: two have a \`${limit}\` for the same calls.`)
      seen.add(what)
    }
  }
}
