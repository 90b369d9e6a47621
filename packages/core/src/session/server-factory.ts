import type { ProxySession } from '../call/record.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest } from '../json-rpc.js'
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
   * again, on every node, before the next request: so what a session may see can depend on what it has done. Without a session
   * (2026-07-28) it is the principal's, as `ctx.state`, and the object is made for one request; where nobody is known who
   * asks, every value is `undefined`.
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
  /** What it answers has the form of the version without sessions. */
  readonly sessionless: boolean
  /** The session's client is here with this: what is sent for none of its requests in particular goes in its name. */
  renew(extra: MessageExtra): void
  /** Whether to listen to the server's standalone messages. */
  listen(open: boolean): void
  /** Resolves when it listens, or there is nothing to listen to. */
  heard(): Promise<void>
  /** The server is just being told what the client has answered. */
  readonly isTelling: boolean
  /** The client has answered a question that `hasAsked` knows, or tells of its progress on it. */
  clientSaid(asker: string, message: JsonRpcMessage): void
  /** Whether the server has seen this state of the session already, through another node. */
  hasSeen(version: number): Promise<boolean>
  /** The server has seen all state up to this version. */
  saw(version: number): void
  /** Resolves when other nodes can know all that they must of the server's session. */
  settled(): Promise<void>
  /** Its session has not come to be: when it is closed, the server's session ends with it. */
  discard(): void
  /** Stops waiting for a request that goes on elsewhere, if the server outlives this node. */
  letGo(requestId: string): void
}

/** A session, what its server called itself when it began, and the `initialize` that it began with. */
export type BegunSession = { sessionId: string; server: string; initialize: JsonRpcRequest }

/** The versions that a server behind HTTP speaks; what it says of itself where it needs no session. */
export type Spoken = { sessionless: true; about: Record<string, unknown> } | { sessionless: false }

/** To whom a server behind HTTP tells of changes. */
export type Heard = {
  tell: (message: JsonRpcNotification) => void
  /** It was not heard for a while: whatever is listened to may have changed. */
  missed: () => void
  /** The server does not let this caller listen any more. */
  refused: () => void
}

export type Listened = {
  heard(): Promise<void>
  end(): void
  /** What the server has agreed to tell of, if it has. */
  readonly acknowledged: Record<string, unknown> | undefined
}

/** All servers behind HTTP of this node, beside the server objects that stand for them. */
export interface ProxyOrigin {
  readonly shared: boolean
  /** What the server speaks, as far as that need not be asked. */
  readonly known: Spoken | undefined
  /** Throws a `ServerRefusedError` if the server does not let this caller in, or can't be asked. */
  spoken(extra: MessageExtra): Promise<Spoken>
  /** The server has answered as one that speaks another version: it is asked again. */
  doubt(): void
  /** For requests without sessions: for all of them, or for one if the server has sessions, which `initialize` begins. */
  alone(spoken: Spoken, initialize: JsonRpcRequest): ProxyObject
  /**
   * Passes `subscriptions/listen` on to a server that needs no session, until `end`. `heard` resolves when the server listens, or has
   * nothing to tell, or that takes too long, and rejects with a `ServerRefusedError`.
   */
  listen(request: JsonRpcRequest, extra: MessageExtra, to: Heard): Listened
  /** What the server calls itself; `undefined`: it does not say so now. Asked by an `initialize` of its own, if need be. */
  serverName(begun: BegunSession, extra: MessageExtra): Promise<string | undefined>
  /** Whether the server has asked this outside of its requests, so that any node may tell it the answer. */
  hasAsked(sessionId: string, asker: string): Promise<boolean>
  /** The server's session that all nodes use for a session of ours. */
  linkedTo(sessionId: string): Promise<ProxySession | undefined>
  /** The client has ended its session: so has the server. Its refusal, or its absence, is nobody's concern. */
  end(session: ProxySession, extra: MessageExtra): Promise<void>
}

export const isProxy = (server: ServerObject): server is ProxyObject => 'letGo' in server

/**
 * Makes a fresh server object for a session. Where there is none (2026-07-28), one that is made before anything of `session` is
 * read serves all requests of its principal, and any other one a single request.
 */
export type ServerFactory = (session: SessionInfo) => ServerObject | Promise<ServerObject>
