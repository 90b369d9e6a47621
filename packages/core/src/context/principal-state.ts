import { recognising } from '../seal/sealed-store.js'
import { checkNames } from '../known-options.js'
import type { ContextStore } from '../store/context-store.js'
import type { Caller } from './call-log.js'
import { NoPrincipalError, UnknownScopeError } from './errors.js'
import { DEFAULT_LIMITS } from './limits.js'
import type { ContextLimits } from './limits.js'
import { scopeOfPrincipal, stateElsewhere } from './scope-state.js'
import { stateOutside } from './session-state.js'
import type { SessionState } from './state-value.js'
import type { Steps } from './steps.js'

type PrincipalCall = {
  callId: string
  caller: Caller
  store: ContextStore
  steps: Steps
  limits: ContextLimits
}

/** The scope of the caller's own state; `undefined`: it is not known whose that would be. */
export const stateScopeOf = ({ principal, isUser }: Caller) =>
  principal !== undefined && isUser ? scopeOfPrincipal(principal) : undefined

/** The state of the principal that has sent a request without a session, in the call of it. */
export function stateOfPrincipal({ callId, caller, store, steps, limits }: PrincipalCall): SessionState {
  const { principal } = caller
  const scope = stateScopeOf(caller)
  if (scope === undefined)
    return refused(() => steps.beside(Promise.reject(new NoPrincipalError(principal !== undefined))))
  const { sessionTtlMs, maxStateBytes: maxBytes } = limits
  let used: Promise<boolean> | undefined
  const read = async (key: string) => {
    used ??= store.useScope(scope, principal)
    return (await Promise.all([store.readValue(scope, key), used]))[0]
  }
  const options = { markMs: sessionTtlMs, begins: { principal, ttlMs: sessionTtlMs }, maxBytes }
  const state = { scope, read, options, gone: () => new UnknownScopeError() }
  return stateElsewhere(store, state, callId, steps)
}

/**
 * The state of a principal, from outside of a call: what `ctx.state` is in calls without a session (2026-07-28), which use
 * that in place of this, since its changes are not repeated. `limits`: as the settings of `durable()`.
 */
export function principalState(
  store: ContextStore,
  principal: string,
  limits: Partial<Pick<ContextLimits, 'maxRecordBytes' | 'maxStateBytes' | 'sessionTtlMs'>> = {},
): SessionState {
  checkNames('principalState()', limits, ['maxRecordBytes', 'maxStateBytes', 'sessionTtlMs'])
  const {
    maxRecordBytes = DEFAULT_LIMITS.maxRecordBytes,
    maxStateBytes: maxBytes = DEFAULT_LIMITS.maxStateBytes,
    sessionTtlMs = DEFAULT_LIMITS.sessionTtlMs,
  } = limits
  const begins = { principal, ttlMs: sessionTtlMs }
  return stateOutside(recognising(store), scopeOfPrincipal(principal), maxRecordBytes, { begins, maxBytes })
}

/** In place of a state, where there is none. */
function refused(refusal: () => Promise<never>): SessionState {
  const state: SessionState = {
    get: refusal,
    set: refusal,
    update: refusal,
    of: () => state as never,
  }
  return state
}
