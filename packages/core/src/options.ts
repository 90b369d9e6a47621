import type { Logger } from './logger.js'
import type { ServerFactory } from './session/server-factory.js'
import type { Settings } from './settings.js'
import type { RecoveredCall } from './session/recovery.js'
import type { Store } from './store/store.js'

/** Auth info as the SDK knows it; only `clientId` and `token` mean something here. */
export type AuthInfo = { token?: string; clientId?: string; [key: string]: unknown }

export type DurableOptions = {
  /** Makes a fresh server object. Called once per session and node; must not share server objects. */
  server: ServerFactory
  /** Where sessions and journals live. Default: the memory of this process. */
  store?: Store
  /** Who a session belongs to; requests of anybody else find no such session. Default: the auth info's `clientId`. */
  principal?: (request: Request, authInfo: AuthInfo | undefined) => string | undefined
  /** Keep the access token in the journal, so that a call taken over has it. Default: false. */
  keepToken?: boolean
  /**
   * Whether a call whose node is gone is run again, for calls that the default judges wrongly; `undefined`: as the default
   * says. Default: calls of durable tools, of tools annotated `idempotentHint` or `readOnlyHint`, and reads.
   */
  recover?: (call: RecoveredCall) => boolean | undefined
  logger?: Logger
} & Partial<Settings>
