import { callerOf } from '../proxy/caller.js'
import type { Claim } from '../proxy/caller.js'
import type { Verdict, Vouching } from '../proxy/vouching.js'
import { extraOf } from './call-request.js'
import type { Exchange } from './exchange.js'
import { sessionOf } from './guard.js'
import { refusalWith, refuse } from './replies.js'
import type { Refusal } from './replies.js'

/** A principal that a token only claims: before anything of the session is given out, the server behind this one vouches for it. */
export function guardCaller(exchange: Exchange): Promise<void> | undefined {
  const { services, request, authInfo, mcpSessionId } = exchange
  const { vouching } = services
  if (!vouching || authInfo !== undefined || mcpSessionId === null) return undefined
  // Without sessions it names nothing.
  if (services.eras.isSessionless(exchange.protocolVersion)) return undefined
  const { claim } = callerOf(request)
  const sessionId = sessionOf(exchange)
  if (!claim || vouching.knows(sessionId, claim)) return undefined
  return askFor(exchange, vouching, sessionId, claim)
}

/**
 * Whose a request without a session is. A principal that its token only claims counts once the server behind this one has
 * vouched for it; where that lets anybody in, a caller is whoever has the whole token.
 */
export async function settlePrincipal(exchange: Exchange): Promise<void> {
  const { services, request, authInfo } = exchange
  const { vouching } = services
  if (!vouching || authInfo !== undefined) return
  const { claim } = callerOf(request)
  if (!claim) return
  const verdict = await vouching.vouchAlone(claim, request)
  if (verdict.status === 'refused') throw refusalOf(verdict)
  if (verdict.status === 'unproven') exchange.principal = callerOf(request, false).principal
}

async function askFor(exchange: Exchange, vouching: Vouching, sessionId: string, claim: Claim) {
  const { services, request, principal } = exchange
  // A stranger is not worth a question.
  const asked = { sessionId, principal, extra: extraOf(exchange), isVouched: false }
  if (!(await services.sessions.admit(asked))) throw refuse.sessionNotFound()
  const verdict = await vouching.vouch(sessionId, claim, request)
  if (verdict.status !== 'accepted') throw refusalOf(verdict)
}

/** The server has answered `initialize`, so it has let the token in. */
export async function acceptCaller({ services, request, authInfo }: Exchange, sessionId: string) {
  const { vouching, logger } = services
  const claim = vouching && authInfo === undefined ? callerOf(request).claim : undefined
  if (!claim) return
  // Without the word of this node the next request is asked about.
  await vouching
    ?.accept(sessionId, claim)
    .catch((error: unknown) => logger.warn({ error }, 'a caller was not noted'))
}

function refusalOf(verdict: Verdict): Refusal {
  if (verdict.status !== 'refused') return refuse.sessionNotFound()
  return refusalWith(verdict.refusal)
}
