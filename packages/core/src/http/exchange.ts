import type { Calls } from '../call/calls.js'
import type { Vouching } from '../proxy/vouching.js'
import type { RequestId } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { AuthInfo } from '../auth-info.js'
import type { TasksOption } from '../session/task-mode.js'
import type { Sessions } from '../session/sessions.js'
import type { Settings } from '../settings.js'
import type { Signals } from '../signals/signals.js'
import type { Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import type { Outgoing } from './event-stream.js'
import type { LimitLog } from './limit-log.js'
import type { Identify } from './principal.js'
import type { ServedEras } from './served-eras.js'
import type { AskedViews } from './sessionless/asked-views.js'
import type { Departures } from './sessionless/departures.js'
import type { RequestStates } from '../session/request-states.js'
import type { Streams } from './streams.js'

export type FetchOptions = {
  /** What an auth middleware found out about the caller. */
  authInfo?: AuthInfo
  /** The body, if a body parser has read it already. */
  parsedBody?: unknown
  /** The response of Node.js that ours is written to, where there is one: to write less often, and to break a connection that takes nothing. */
  outgoing?: Outgoing | undefined
  /** For an adapter that sends `unreadEvents` of the response itself, so that no stream is made for them. */
  sendsEvents?: boolean
}

export type HttpServices = {
  store: Store
  watcher: Watcher
  askedViews: AskedViews
  sessions: Sessions
  calls: Calls
  streams: Streams
  settings: Settings
  logger: Logger
  limitLog: LimitLog
  signals: Signals
  /** Whether requests come beside one another; what they do next they then do side by side. */
  isBusy: () => boolean
  eras: ServedEras
  departures: Departures
  requestStates: RequestStates
  /** Whether calls of tools may be tasks that do not say so themselves. */
  tasks: TasksOption
  identify: Identify
  /** Set where principals are read from tokens that nobody here has checked. */
  vouching: Vouching | undefined
  keepToken: boolean
  /** Methods that are journaled from the start, beside `tools/call`. */
  recorded: ReadonlySet<string>
  /** Keep in journals where a call was sent. */
  keepUrl: boolean
  /** What is served is behind HTTP, here or elsewhere. */
  isProxy: boolean
  /** Nobody goes on with what this node leaves: its store is in its memory. */
  isLast: boolean
}

/** Requests that have come to this process. */
let arrived = 0

/** One HTTP request on its way through the layers. */
export class Exchange {
  /** Grows from request to request, in the order in which they come. */
  readonly arrival = ++arrived
  readonly authInfo: AuthInfo | undefined
  readonly parsedBody: unknown
  readonly outgoing: Outgoing | undefined
  readonly sendsEvents: boolean
  /** `MCP-Protocol-Version`, as it was sent. */
  readonly protocolVersion: string | null
  /** `Mcp-Session-Id`, as it was sent: nobody who is not about headers needs it. */
  readonly mcpSessionId: string | null
  principal: string | undefined
  /** The JSON-RPC id to name in an error, once it is known. */
  requestId: RequestId | null = null

  constructor(
    readonly services: HttpServices,
    readonly request: Request,
    { authInfo, parsedBody, outgoing, sendsEvents = false }: FetchOptions,
  ) {
    this.authInfo = authInfo
    this.parsedBody = parsedBody
    this.outgoing = outgoing
    this.sendsEvents = sendsEvents
    this.protocolVersion = request.headers.get('mcp-protocol-version')
    this.mcpSessionId = request.headers.get('mcp-session-id')
  }
}
