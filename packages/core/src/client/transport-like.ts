import type { FetchLike } from './retry-options.js'

/** What is used of a client of either major of the SDK. */
export interface ClientLike {
  connect(transport: never): Promise<void>
  close(): Promise<void>
}

/** What is used of a `StreamableHTTPClientTransport` of either major of the SDK. */
export interface TransportLike {
  sessionId?: string | undefined
  protocolVersion?: string | undefined
  onmessage?: ((message: never, extra?: never) => void) | undefined
  send(message: never, options?: { resumptionToken?: string }): Promise<void>
  setProtocolVersion?(version: string): void
  resumeStream(lastEventId: string): Promise<void>
  terminateSession(): Promise<void>
}

export type TransportClass = new (
  url: URL,
  options: { fetch: FetchLike; sessionId?: string; requestInit?: RequestInit },
) => TransportLike
