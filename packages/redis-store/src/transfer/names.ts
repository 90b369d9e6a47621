import type { ListedPiece } from '@mcp-durable/core/transfer'
import { untag } from '../keys.js'
import type { Keys } from '../keys.js'

/** Beside the quotas stand their queues, and what is waited for. */
export function quotaOf(keys: Keys, key: string): string | undefined {
  const name = key.slice(keys.quotas().length + 1)
  return /^(waits|waited|given)$|:queue$/.test(name) ? undefined : untag(name)
}

type List = Pick<ListedPiece, 'list' | 'principal'>

export function listOf(keys: Keys, key: string): List | undefined {
  const rest = key.slice(keys.prefix.length + 1)
  if (rest === 'sessions') return { list: 'sessions', principal: undefined }
  const [, calls, isEnded] = /^calls:\{([\w-]+)\}(:ended)?$/.exec(rest) ?? []
  if (calls !== undefined) return { list: isEnded === undefined ? 'calls' : 'ended', principal: calls }
  const [, list, principal] = /^(principal|kept|values):([\w-]+)$/.exec(rest) ?? []
  return list === undefined ? undefined : { list: list as List['list'], principal }
}

export function keyOf(keys: Keys, { list, principal = '' }: List): string {
  if (list === 'sessions') return keys.sessions()
  const calls = `${keys.prefix}:calls:{${principal}}`
  if (list === 'calls') return calls
  return list === 'ended' ? `${calls}:ended` : `${keys.prefix}:${list}:${principal}`
}
