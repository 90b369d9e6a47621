/**
 * Base of every error this library throws at application code.
 *
 * `code` is stable and meant for programs; `message` is meant for people and says what to do next.
 * Errors that go over the wire are JSON-RPC errors and live in `http/replies.ts`.
 */
export class DurableError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Why a store operation failed. `unavailable`: not sent. `timeout`: sent, outcome unknown. `failed`: refused by the store. */
export type StoreErrorCode = 'store-unavailable' | 'store-timeout' | 'store-failed'

/** A store operation did not succeed. Every operation may throw it; nothing else does. */
export class StoreError extends DurableError {
  declare readonly code: StoreErrorCode

  // oxlint-disable-next-line no-useless-constructor -- narrows `code` for callers
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** This node is shutting down and begins nothing new. */
export class NodeLeavingError extends DurableError {
  constructor() {
    super('node-leaving', 'this node is shutting down. Try again.')
  }
}

/** The application has set something up in a way that can't work. The message is for its log; clients get a 500. */
export class MisconfiguredError extends DurableError {
  constructor(message: string, options?: ErrorOptions) {
    super('misconfigured', message, options)
  }
}
