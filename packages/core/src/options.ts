import type { AuthInfo } from './auth-info.js'
import type { Role } from './call/role.js'
import type { VersionPolicy } from './call/versions.js'
import type { HistoryOptions } from './history-options.js'
import type { FetchHandler } from './proxy/local-backend.js'
import type { StdioServer } from './proxy/stdio/stdio-process.js'
import type { Logger } from './logger.js'
import type { OnDisconnect } from './http/sessionless/departures.js'
import type { SealOptions } from './seal/seals.js'
import type { RequestStateKey } from './session/request-states.js'
import type { Era } from './protocol.js'
import type { QuotaOptions } from './quota-options.js'
import type { ServerFactory } from './session/server-factory.js'
import type { Settings } from './settings.js'
import type { RecoveredCall } from './session/recovery.js'
import type { TasksOption } from './session/task-mode.js'
import type { Hooks } from './signals/events.js'
import type { Telemetry } from './signals/telemetry.js'
import type { Store } from './store/store.js'

/** What is made durable: exactly one of four. */
export type Served =
  | {
      /**
       * Makes a new server object, in 30 s at most. Called whenever a node needs one for a session that it has none for: when the
       * session begins, and again after the node has dropped an idle one or the state that it was made from has changed. An
       * object that it has returned before is refused.
       */
      server: ServerFactory
      handler?: never
      upstream?: never
      stdio?: never
    }
  | {
      /**
       * Anything that serves MCP over Streamable HTTP in this process, unchanged. Its sessions are its own: each node makes
       * one when it needs it, with the client's `initialize` and what else the client has told, and deletes it when idle.
       */
      handler: FetchHandler
      server?: never
      upstream?: never
      stdio?: never
    }
  | {
      /** URL of a server in any language. All nodes use the same session of it for a session of theirs. */
      upstream: string | URL
      server?: never
      handler?: never
      stdio?: never
    }
  | {
      /**
       * A server that speaks stdio: `{ command: 'npx', args: ['-y', 'a-server'] }`. Each session has a process of its own on each node
       * that needs one, started again and told what the client has told when it has ended; see docs/stdio.md.
       */
      stdio: StdioServer
      server?: never
      handler?: never
      upstream?: never
    }

/** What can be set whatever is served. */
export type CommonOptions = {
  /** Where sessions and journals live. Default: the memory of this process. */
  store?: Store
  /**
   * Keeps what is in the store apart from that of other servers on it: sessions, calls, nodes and maps. All nodes of one
   * server have the same, and each server its own. 1 to 64 letters, digits, `_`, `-` or `.`. Default: none. Several `durable()`
   * without a name on one store object of a process tell sessions and broadcasts apart by `serverInfo.name`, and share nodes
   * and maps. Those of different processes are not told apart: give them names.
   */
  name?: string | undefined
  /**
   * The versions of the protocol that are served: those with sessions, up to 2025-11-25, and the one without (2026-07-28). Default:
   * both. While nodes of a version of this library that does not know 2026-07-28 use the store, that one is not served; see
   * docs/protocol-2026.md.
   */
  eras?: readonly Era[]
  /**
   * What this node does. `'serve'`: it answers requests and runs their calls, but leaves the calls of nodes that are gone, those that are
   * woken, and tasks to the nodes that work, as long as there is one. `'work'`: only that; each request to it gets 503. Both need a
   * `store` that they share. Default: `'all'`.
   */
  role?: Role
  /** Of your code: calls record which one has run them. 1 to 64 letters, digits, `_`, `-`, `+` or `.`. Default: none, which goes with all. */
  version?: string
  /**
   * What becomes of a call that another `version` has run and that this node could go on with: `'compatible'`, `{ pinForMs }` or
   * `'refuse'`; see `VersionPolicy`. Needs a `version`. Default: `'compatible'`.
   */
  whenVersionsDiffer?: VersionPolicy
  /**
   * What becomes of a call without a session when its client closes the stream, which in 2026-07-28 cancels the request: nobody
   * can tell that from a broken connection, whose client comes back. `'cancel'`: it is cancelled at once; `'finish'`: it goes on
   * to its end. Default: `{ cancelAfterMs: 5000 }`, or more if `retryMs` is long, unless the client has come back by then, or is asked something.
   */
  onDisconnect?: OnDisconnect
  /**
   * Whether calls of tools may be tasks (2026-07-28, extension `io.modelcontextprotocol/tasks`) that do not say so themselves: those
   * of a `handler` or an `upstream`, and plain tools. For all, or by name: `{ report: 'always' }`. See `TaskMode`. Default: `'never'`.
   */
  tasks?: TasksOption
  /**
   * Secrets that sign what a client sends along with its answers to questions (`requestState`, 2026-07-28), for its principal and for
   * `inputTtlMs`; at least 32 bytes each, the same for all nodes. The first one signs, the others are still accepted. Default:
   * none. What a client sends is the handle of a call then, which no other caller can use, but where no caller is
   * known, whoever has it.
   */
  requestStateKeys?: readonly RequestStateKey[]
  /**
   * Who a session belongs to; requests of anybody else find no such session. `undefined`: nobody is known, and whoever has
   * the session's id may use it. Anything but a string that is not empty is refused with 500, and so is every request for
   * which it throws: refuse callers in a middleware before. May be async, and has 30 s then. Default: the auth info's
   * `clientId`; before a `handler` or an `upstream`, without auth info, the caller that `Authorization` names (docs/security.md).
   */
  principal?: (
    request: Request,
    authInfo: AuthInfo | undefined,
  ) => string | undefined | Promise<string | undefined>
  /** Keep the access token in the journal, so that a call taken over has it. Default: false. */
  keepToken?: boolean
  /**
   * Whether a call whose node is gone is run again, for calls that the default judges wrongly; `undefined`: as the default
   * says. Default: calls of durable tools, of tools annotated `idempotentHint` or `readOnlyHint`, and reads; the tool must
   * have been one when the call began, and be one now.
   */
  recover?: (call: RecoveredCall) => boolean | undefined
  /**
   * How many calls of tools are open, started and run at once, over all nodes; see `QuotaOptions`. Past it a task waits for its
   * turn, unless it is for `maxOpen`, and any other request gets 429 with `Retry-After`. Default: none.
   */
  quotas?: readonly QuotaOptions[]
  /**
   * Names of the client's headers that go on to an `upstream`; name `authorization` to have it passed on. Default:
   * `accept-language`, `baggage`, `traceparent`, `tracestate`, `user-agent`.
   */
  passHeaders?: readonly string[]
  /** Keeps what is said in sessions, for `store.history()`. Default: nothing past sessions and resume windows. */
  history?: HistoryOptions
  /**
   * Keys that what clients, tools and users put into the store is sealed with (AES-256-GCM): `keys` of 32 random bytes each, as bytes or as a
   * text in base64 or hex; the first one seals, the others still open; all nodes have the same. `plain`: `'refuse'` to take nothing from the
   * store that is not sealed. `secrets`: another store, for a secret of each principal, without which nobody can read what is sealed for it, so
   * that `forget()` reaches backups too; you close it. Default: nothing is sealed. What is not: docs/security.md. A store that is also used
   * beside `durable()` is sealed by `sealedStore()` instead.
   */
  seal?: SealOptions
  /** As of pino. Default: warnings and errors on standard error. */
  logger?: Logger
  /** Functions that are told what happens, by the name of the event. */
  on?: Hooks
  /** Spans and metrics of OpenTelemetry: `telemetry()` of `@mcp-durable/core/telemetry`. */
  telemetry?: Telemetry
} & Partial<Settings>

export type DurableOptions = Served & CommonOptions
