import { digest, randomId } from '../ids.js'
import { isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { Settings } from '../settings.js'
import type { Store } from '../store/store.js'

/**
 * The client messages that change a session, and what each replaces: of two with the same key only
 * the newer one matters, which keeps the state of a session small however long it lives.
 */
export function stateKey(message: JsonRpcMessage): string | undefined {
  if (isResponse(message)) return undefined
  // A notification is none of these requests, and the other way round, whatever its method says.
  if (isRequest(message) === message.method.startsWith('notifications/')) return undefined
  switch (message.method) {
    case 'initialize':
      return 'initialize'
    case 'notifications/initialized':
      return 'initialized'
    case 'logging/setLevel':
      return 'level'
    case 'notifications/roots/list_changed':
      return 'roots'
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return `resource:${digest(JSON.stringify(message.params?.['uri'] ?? null))}`
    default:
      return undefined
  }
}

/** Longest state message: kept for as long as the session lives. */
export const MAX_STATE_CHARS = 64 * 1024

/** What is kept of a session, in place of what had the same key. It may be put again after an unknown outcome. */
export const stateChange = (key: string, message: JsonRpcMessage) => ({
  key,
  data: JSON.stringify(message),
  nonce: randomId(),
})

export type StateChange = ReturnType<typeof stateChange>

/** Resolves to the version of the session that it made. */
export async function putState(
  store: Store,
  sessionId: string,
  entry: StateChange,
  { maxStateEntries: maxKeys }: Settings,
) {
  return entry.data.length > MAX_STATE_CHARS ? 'limit' : store.putState(sessionId, entry, { maxKeys })
}
