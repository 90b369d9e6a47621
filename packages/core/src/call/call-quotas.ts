import { digest } from '../ids.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import type { QuotaOptions } from '../quota-options.js'
import type { Quota } from '../store/quotas.js'
import type { CallQuota } from './record.js'

const NONE: readonly NamedQuota[] = []
const MINUTE_MS = 60_000
const KINDS = { maxOpen: 'open', startsPerMinute: 'starts', runsAtOnce: 'runs' } as const
const LIMITS = Object.keys(KINDS) as Array<keyof typeof KINDS>

/** `text`: in words of the options. */
export type NamedQuota = CallQuota & { text: string }

/** Quotas that requests of a principal fall under; several requests of one call count once. Mostly none. */
export function quotasFor(
  rules: readonly QuotaOptions[],
  requests: readonly JsonRpcRequest[],
  principal: string | undefined,
): readonly NamedQuota[] {
  if (rules.length === 0) return NONE
  const tools = requests.filter(({ method }) => method === 'tools/call').map(({ params }) => params?.['name'])
  return rules.flatMap((rule) => {
    const { tool, perPrincipal } = rule
    const applies = tool === undefined ? tools.length > 0 : tools.includes(tool)
    if (!applies || (perPrincipal && principal === undefined)) return []
    const whose = digest(JSON.stringify([tool ?? null, perPrincipal ? principal : null]))
    return LIMITS.flatMap((limit) => {
      const most = rule[limit]
      if (most === undefined) return []
      const of = tool === undefined ? 'all tools' : `the tool ${tool}`
      const text = `${limit} ${most} of ${of}${perPrincipal ? ', for each principal' : ''}`
      return { name: `${KINDS[limit]}:${whose}`, most, text }
    })
  })
}

const kindOf = (name: string) => name.slice(0, name.indexOf(':'))
export const isOpenPlace = (name: string) => kindOf(name) === 'open'
export const isHeld = (name: string) => kindOf(name) !== 'starts'
/** What is needed again by a call that goes on after it was parked. */
export const isRun = ({ name }: CallQuota) => kindOf(name) === 'runs'
/** What a call may wait for. */
export const isTurn = ({ name }: CallQuota) => !isOpenPlace(name)

export const counted = ({ name, most }: CallQuota): Quota =>
  isHeld(name) ? { name, most } : { name, most, windowMs: MINUTE_MS }
