import type { ProxySession } from '../call/record.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import type { ReadonlySessionState } from './state-reads.js'
import type { MessageExtra } from './transport.js'

/** What a server factory is told about the session it serves. */
export type SessionInfo = {
  /** Names the session, and is no secret: `sessionIdOf` the client's `Mcp-Session-Id`. So is `extra.sessionId` of handlers. */
  sessionId: string
  /** `clientInfo` of the client's `initialize`. */
  clientInfo: { name: string; version: string; [key: string]: unknown } | undefined
  principal: string | undefined
  /**
   * The session's state. When a value has changed that the factory has read before it returned, the server object is made
   * again, on every node, before the next request: so what a session may see can depend on what it has done.
   */
  state: ReadonlySessionState
}
/** What is known of a session before its server object is made. */
export type SessionIdentity = Omit<SessionInfo, 'state'>

/** An `McpServer` or `Server` of either major of the SDK. */
export interface ServerObject {
  // oxlint-disable-next-line typescript/no-explicit-any -- the two majors type their transports differently
  connect(transport: any): Promise<void>
  close(): Promise<void>
}

/** A server object that stands for a server behind HTTP: what its session server tells it, and what it tells that one, beside messages. */
export interface ProxyObject extends ServerObject {
  /** The server's session is used by all nodes, and outlives this one. */
  readonly shared: boolean
  /** Whether to listen to the server's standalone messages. */
  listen(open: boolean): void
  /** Resolves when it listens, or there is nothing to listen to. */
  heard(): Promise<void>
  /** Whether the server has seen this state of the session already, through another node. */
  hasSeen(version: number): Promise<boolean>
  /** The server has seen all state up to this version. */
  saw(version: number): void
  /** Resolves when other nodes can know all that they must of the server's session. */
  settled(): Promise<void>
  /** Stops waiting for a request that goes on elsewhere, if the server outlives this node. */
  letGo(requestId: string): void
}

/** A session, what its server called itself when it began, and the `initialize` that it began with. */
export type BegunSession = { sessionId: string; server: string; initialize: JsonRpcRequest }

/** All servers behind HTTP of this node, beside the server objects that stand for them. */
export interface ProxyOrigin {
  readonly shared: boolean
  /** What the server calls itself; `undefined`: it does not say so now. Asked by an `initialize` of its own, if need be. */
  serverName(begun: BegunSession, extra: MessageExtra): Promise<string | undefined>
  /** The server's session that all nodes use for a session of ours. */
  linkedTo(sessionId: string): Promise<ProxySession | undefined>
  /** The client has ended its session: so has the server. Its refusal, or its absence, is nobody's concern. */
  end(session: ProxySession, extra: MessageExtra): Promise<void>
}

export const isProxy = (server: ServerObject): server is ProxyObject => 'letGo' in server

/** Makes a fresh server object for a session. */
export type ServerFactory = (session: SessionInfo) => ServerObject | Promise<ServerObject>
