import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { checkNames } from '../known-options.js'
import { connectionOf } from './connection.js'
import type { Connection } from './connection.js'
import type { ClientLike, TransportClass, TransportLike } from './transport-like.js'
import { durableFetch } from './durable-fetch.js'
import { OwnIds } from './own-ids.js'
import { ResumedCall } from './resumed-call.js'
import type { FetchLike } from './retry-options.js'

export type ConnectOptions<C extends ClientLike = Client> = {
  /** A client that is set up already, with its capabilities and handlers. Default: one without any. */
  client?: C
  /** The `StreamableHTTPClientTransport` of the same SDK as `client`. Default: that of `@modelcontextprotocol/sdk`. */
  transport?: TransportClass
  /** Default: `durableFetch()`. */
  fetch?: FetchLike
  /** Sent with every request, such as `authorization`. */
  headers?: Record<string, string>
}
/** `client` is required when `transport` is another SDK's. */
type OwnClient<C extends ClientLike> = ConnectOptions<C> & { client: C; transport: TransportClass }

export type ReconnectOptions<C extends ClientLike = Client> = ConnectOptions<C> & {
  sessionId: string
  protocolVersion: string
  /**
   * The last event that was seen of a stream of the session; what follows it is delivered. Of the standalone stream it
   * prevents that a message comes twice or is missed; of a call's stream (`onresumptiontoken` of `callTool` tells it)
   * that call's outcome comes as `resumed` of the connection.
   */
  lastEventId?: string
}

const NAMES = ['client', 'transport', 'fetch', 'headers']
const CLIENT_INFO = { name: 'mcp-durable-client', version: '0.1.0' }

/**
 * Begins a session with the MCP endpoint at `url`, as the official client over `durableFetch`. Throws a
 * `DurableError` `no-session` if the server begins none, and what the client's own `connect` throws.
 */
export function connect(url: string | URL, options?: ConnectOptions): Promise<Connection<Client>>
export function connect<C extends ClientLike>(
  url: string | URL,
  options: OwnClient<C>,
): Promise<Connection<C>>
export async function connect(
  url: string | URL,
  options: ConnectOptions<ClientLike> = {},
): Promise<Connection<ClientLike>> {
  checkNames('connect()', options, NAMES)
  const client = options.client ?? (await defaultClient())
  const transport = await makeTransport(url, options)
  await client.connect(transport as never)
  return connectionOf(client, transport, {})
}

/**
 * Goes on with a session, on any node, after its client was closed or died. `initialize` is not sent again, so the
 * server still knows the first client's name and capabilities: this one should have the same. Nor is it answered, so
 * the client does not know the server's capabilities; that of 2.x takes lists for empty then. Calls work.
 */
export function reconnect(url: string | URL, options: ReconnectOptions): Promise<Connection<Client>>
export function reconnect<C extends ClientLike>(
  url: string | URL,
  options: ReconnectOptions<C> & OwnClient<C>,
): Promise<Connection<C>>
export async function reconnect(
  url: string | URL,
  options: ReconnectOptions<ClientLike>,
): Promise<Connection<ClientLike>> {
  checkNames('reconnect()', options, [...NAMES, 'sessionId', 'protocolVersion', 'lastEventId'])
  const { sessionId, protocolVersion, lastEventId } = options
  const client = options.client ?? (await defaultClient())
  const transport = await makeTransport(url, options, sessionId)
  transport.setProtocolVersion?.(protocolVersion)
  await client.connect(transport as never)
  const ids = new OwnIds(transport)
  const ofStandalone = lastEventId?.startsWith('out.')
  const resumed = lastEventId !== undefined && !ofStandalone ? new ResumedCall(transport, ids) : undefined
  await resumed?.begin(lastEventId ?? '')
  // The SDK opens the standalone stream after `initialize` only. An empty id is none: it begins where the last client
  // left off. Failures go to `client.onerror`; the stream stays open long after this.
  transport.resumeStream(ofStandalone && lastEventId ? lastEventId : '').catch(() => undefined)
  return connectionOf(client, transport, { sessionId, protocolVersion, ...(resumed && { resumed }) })
}

/** Loaded when needed: who brings another SDK need not have this one. */
async function defaultClient(): Promise<ClientLike> {
  const sdk = await import('@modelcontextprotocol/sdk/client/index.js')
  return new sdk.Client(CLIENT_INFO)
}

async function makeTransport(
  url: string | URL,
  { transport, fetch = durableFetch(), headers }: ConnectOptions<ClientLike>,
  sessionId?: string,
): Promise<TransportLike> {
  const Transport = transport ?? (await defaultTransport())
  return new Transport(new URL(url), {
    fetch,
    ...(sessionId !== undefined && { sessionId }),
    ...(headers && { requestInit: { headers } }),
  })
}

async function defaultTransport(): Promise<TransportClass> {
  const sdk = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
  return sdk.StreamableHTTPClientTransport
}
