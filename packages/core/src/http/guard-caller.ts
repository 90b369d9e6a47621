import { callerOf } from '../proxy/caller.js'
import { httpAnswerOf } from '../proxy/refusal.js'
import type { Claim } from '../proxy/caller.js'
import type { Verdict, Vouching } from '../proxy/vouching.js'
import type { Exchange } from './exchange.js'
import { sessionOf } from './guard.js'
import { Refusal, refuse } from './replies.js'

/** A principal that a token only claims: before anything of the session is given out, the server behind this one vouches for it. */
export function guardCaller(exchange: Exchange): Promise<void> | undefined {
  const { services, request, authInfo } = exchange
  const { vouching } = services
  if (!vouching || authInfo !== undefined || !request.headers.has('mcp-session-id')) return undefined
  const { claim } = callerOf(request)
  const sessionId = sessionOf(request)
  if (!claim || vouching.knows(sessionId, claim)) return undefined
  return askFor(exchange, vouching, sessionId, claim)
}

async function askFor(
  { services, request, principal, authInfo }: Exchange,
  vouching: Vouching,
  sessionId: string,
  claim: Claim,
) {
  // A stranger is not worth a question.
  const asked = { sessionId, principal, extra: { request, authInfo }, isVouched: false }
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
  const { error } = verdict.refusal
  const { status = 502, headers = {} } = httpAnswerOf(verdict.refusal) ?? {}
  return new Refusal(status, error.code, error.message, headers)
}
