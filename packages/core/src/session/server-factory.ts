/** What a server factory is told about the session it serves. */
export type SessionInfo = {
  sessionId: string
  /** `clientInfo` of the client's `initialize`. */
  clientInfo: { name: string; version: string; [key: string]: unknown } | undefined
  principal: string | undefined
}

/** An `McpServer` or `Server` of either major of the SDK. */
export interface ServerObject {
  // oxlint-disable-next-line typescript/no-explicit-any -- the two majors type their transports differently
  connect(transport: any): Promise<void>
  close(): Promise<void>
}

/** Makes a fresh server object for a session. */
export type ServerFactory = (session: SessionInfo) => ServerObject | Promise<ServerObject>
