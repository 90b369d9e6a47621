/** Where a call without a session is. Its scope has the same name, unless that follows from an idempotency key. */
export type CallPlace = { scope: string; callId: string }

const PLACE = /^(?:([\w-]{22}):)?([\w-]{22})$/

/** For ids of events and states of requests, which any node must find the call by. */
export const nameOf = ({ scope, callId }: CallPlace) => (scope === callId ? callId : `${scope}:${callId}`)

export function parsePlace(name: string): CallPlace | undefined {
  const [, scope, callId] = PLACE.exec(name) ?? []
  return callId === undefined ? undefined : { scope: scope ?? callId, callId }
}
