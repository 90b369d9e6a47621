import type { Inspection } from '@mcp-durable/core/inspect'
import { CliError } from '../errors.js'
import type { Privacy } from '../show/privacy.js'
import { NoneError, resolveCall, resolveSession } from './resolve.js'

/** The session, or the call in its session, that an id names. */
export async function resolveSessionOrCall(
  inspect: Inspection,
  given: string,
  privacy: Privacy,
): Promise<{ scope: string; callId: string | undefined }> {
  const attempts = await Promise.allSettled([
    resolveSession(inspect, given, privacy),
    resolveCall(inspect, given, privacy),
  ])
  const [session, call] = attempts
  if (session.status === 'fulfilled' && call.status === 'fulfilled') {
    throw new CliError(`'${given}' is the beginning of a session and of a call.`, ['Give more of the id.'])
  }
  if (session.status === 'fulfilled') return { scope: session.value, callId: undefined }
  if (call.status === 'fulfilled') return call.value
  const [noSession, noCall]: unknown[] = [session.reason, call.reason]
  if (!(noSession instanceof NoneError)) throw noSession
  if (!(noCall instanceof NoneError)) throw noCall
  throw new CliError(`there is no session and no call '${given}' here.`, [...noSession.next, ...noCall.next])
}
