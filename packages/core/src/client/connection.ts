import { DurableError } from '../errors.js'
import type { ResumedCall } from './resumed-call.js'
import type { ClientLike, TransportLike } from './transport-like.js'

const NO_SESSION =
  'The server began no session, so nothing could go on with it later. Use the official client alone.'

/** A client in a session. `await using` closes it and leaves the session, as `close()` does. */
export interface Connection<C extends ClientLike> extends AsyncDisposable {
  readonly client: C
  /** With `protocolVersion`, what `reconnect` needs, in this process or another. */
  readonly sessionId: string
  /** What client and server agreed on. */
  readonly protocolVersion: string
  /**
   * The outcome of the call whose stream `lastEventId` was an event of; rejects with its JSON-RPC error (`code`, `data`), or with
   * a `DurableError` `connection-closed` if the connection is closed before. `undefined` for the standalone stream, or without a `lastEventId`.
   */
  readonly resumed: Promise<unknown> | undefined
  /** Closes the client. The session stays; its calls go on. */
  close(): Promise<void>
  /** Ends the session on the server, with all that runs in it, and closes the client. */
  end(): Promise<void>
}

export function connectionOf<C extends ClientLike>(
  client: C,
  transport: TransportLike,
  known: { sessionId?: string | undefined; protocolVersion?: string | undefined; resumed?: ResumedCall },
): Connection<C> {
  const sessionId = known.sessionId ?? transport.sessionId
  const protocolVersion = known.protocolVersion ?? transport.protocolVersion
  if (sessionId === undefined || protocolVersion === undefined) {
    throw new DurableError('no-session', NO_SESSION)
  }
  const close = async () => {
    known.resumed?.stop()
    await client.close()
  }
  return {
    client,
    sessionId,
    protocolVersion,
    resumed: known.resumed?.outcome,
    close,
    async end() {
      try {
        await transport.terminateSession()
      } finally {
        await close()
      }
    },
    [Symbol.asyncDispose]: close,
  }
}
