import type { JsonRpcMessage } from '../json-rpc.js'
import type { StateEntry } from '../store/store.js'
import { decodeMessage } from './messages.js'

/** What the client messages that a session is rebuilt from say about it. */
export type SessionDescription = {
  /** The client's own words. */
  client: { name: string; version: string } | undefined
  capabilities: string[]
  /** The client has sent `notifications/initialized`. */
  initialized: boolean
  logLevel: string | undefined
}

/** The state entries that `describeSession` looks at. */
export const SESSION_STATE_KEYS = ['initialize', 'initialized', 'level'] as const

export function describeSession(state: readonly StateEntry[]): SessionDescription {
  const params = (key: (typeof SESSION_STATE_KEYS)[number]) => {
    const entry = state.find((candidate) => candidate.key === key)
    return entry && paramsOf(decodeMessage(entry.data))
  }
  const begun = params('initialize')
  const info = begun?.['clientInfo'] as Partial<Record<'name' | 'version', unknown>> | undefined
  const level = params('level')?.['level']
  return {
    client: info && { name: text(info.name), version: text(info.version) },
    capabilities: Object.keys((begun?.['capabilities'] as object | undefined) ?? {}),
    initialized: params('initialized') !== undefined,
    logLevel: typeof level === 'string' ? level : undefined,
  }
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')

function paramsOf(message: JsonRpcMessage | undefined): Record<string, unknown> | undefined {
  return message && 'method' in message ? (message.params ?? {}) : undefined
}
