// Errors of other copies of this package are known by these: a store may bring a copy of its own, as under Plug'n'Play of Yarn.
const DURABLE_ERROR = Symbol.for('mcp-durable.error')
const STORE_ERROR = Symbol.for('mcp-durable.store-error')

const has = (value: unknown, mark: symbol) => typeof value === 'object' && value !== null && mark in value

/**
 * Base of every error this library throws at application code.
 *
 * `code` is stable and meant for programs; `message` is meant for people and says what to do next.
 * Errors that go over the wire are JSON-RPC errors and live in `http/replies.ts`.
 */
export class DurableError extends Error {
  readonly code: string

  static {
    Object.defineProperty(this.prototype, DURABLE_ERROR, { value: true })
  }

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }

  /** True of an error of another copy of this package, too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this === DurableError) return has(value, DURABLE_ERROR)
    return Function.prototype[Symbol.hasInstance].call(this, value)
  }
}

/**
 * Why a store operation failed. `unavailable`: not sent. `timeout`: sent, outcome unknown. `failed`: refused by the store, until
 * somebody sees to it: it is full, or a right is missing. `refused`: for what it is, such as too large; the same operation
 * would be refused each time, and nothing was changed. `sealed`, `tampered`, `forgotten`: what was read can't be opened (`SealError`).
 */
export type StoreErrorCode =
  'store-unavailable' | 'store-timeout' | 'store-failed' | 'store-refused' | SealErrorCode
export type SealErrorCode = 'store-sealed' | 'store-tampered' | 'store-forgotten'

/** A store operation did not succeed. Every operation may throw it; nothing else does. */
export class StoreError extends DurableError {
  declare readonly code: StoreErrorCode

  static {
    Object.defineProperty(this.prototype, STORE_ERROR, { value: true })
  }

  // oxlint-disable-next-line no-useless-constructor -- narrows `code` for callers
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === StoreError ? has(value, STORE_ERROR) : super[Symbol.hasInstance](value)
  }
}

/**
 * A record of the store can't be opened. `store-sealed`: this node has not the key `keyId`, or no `seal.secrets`; another one may have them.
 * `store-tampered`: it was altered, or moved from another place; or it is not sealed (`keyId` is `undefined`), and `plain: 'refuse'` is set, or it is a secret.
 * `store-forgotten`: it is of a principal that was forgotten, and nobody can open it any more.
 */
export class SealError extends StoreError {
  declare readonly code: SealErrorCode
  /** Of the key that the record says it is sealed with: the beginning of a digest of it. */
  readonly keyId: string | undefined

  constructor(
    code: SealErrorCode,
    keyId: string | undefined,
    { lacksSecrets = false, isSecret = false } = {},
  ) {
    const unsealed = isSecret ? UNSEALED_SECRET : UNSEALED
    super(code, lacksSecrets ? NO_SECRETS : keyId === undefined ? unsealed : whyNot[code](keyId))
    this.keyId = keyId
  }
}

const UNSEALED = "a record is not sealed, and `seal.plain` is 'refuse'. With 'read' it is read as it is."
const UNSEALED_SECRET =
  'a secret in `seal.secrets` is not sealed, so no node has made it. Find out who writes to that store, and put back what was there.'
const NO_SECRETS =
  'a record is sealed with a secret of its principal, and this node has no `seal.secrets`. Give it those that the other nodes have.'
const whyNot: Record<SealErrorCode, (keyId: string) => string> = {
  'store-sealed': (keyId) =>
    `a record is sealed with the key ${keyId}, which is not in \`seal.keys\` of this node. Add that key behind the current one.`,
  'store-tampered': (keyId) =>
    `a record that says it is sealed with the key ${keyId} was altered, or moved from another place. Find out who writes to the store.`,
  'store-forgotten': () =>
    'a record is of a principal that was forgotten: its secret is deleted, and nobody can read the record any more. Forget the principal again to delete what is left.',
}

/** What a handler said, or came to, can't be recorded, and so can't be sent. Its request ends with an error. */
export class UnrecordableError extends DurableError {}

/** It has no form in JSON (a big int, a cycle, too deep, a `toJSON` that throws), or it is no JSON-RPC message then. `cause`: why. */
export class NotJsonError extends UnrecordableError {
  constructor(problem: string, options?: ErrorOptions) {
    super('not-json', `it is no JSON: ${problem}`, options)
  }
}

/** What is thrown can be anything, also what has no text. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return Object.prototype.toString.call(thrown)
  }
}

/** As `textOf`, without the name of the error. */
export function messageOf(thrown: unknown): string {
  try {
    return textOf(thrown instanceof Error ? thrown.message : thrown)
  } catch {
    return textOf(thrown)
  }
}

/** `maxRecordBytes`, where nobody sets it. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024

/** It has more bytes than one record may have (`maxRecordBytes`). */
export class RecordTooLargeError extends UnrecordableError {
  constructor(bytes: number, maxBytes: number, what = 'it') {
    super('record-too-large', `${what} has ${bytes} bytes, and may have ${maxBytes} (maxRecordBytes).`)
  }
}

/** The store refuses the record, and would each time. `cause`: the `StoreError`. */
export class RecordRefusedError extends UnrecordableError {
  constructor(cause: StoreError) {
    super('record-refused', 'the store refuses it.', { cause })
  }
}

/** A handler goes on saying things and does not wait, while the store is away or slow. Its call ends with this. */
export class BacklogError extends UnrecordableError {
  constructor(records: number) {
    super(
      'record-backlog',
      `${records} messages before it wait for the session store. Await what sends them: it resolves when more may be sent.`,
    )
  }
}

/** Whether another node may read what this one can't: it has not the key. */
export const isSealed = (error: unknown): error is SealError =>
  error instanceof SealError && error.code === 'store-sealed'

/** Whether nobody can read it any more. */
export const isForgotten = (error: unknown): error is SealError =>
  error instanceof SealError && error.code === 'store-forgotten'

/** Whether the store will refuse the same operation each time. */
export const isRefused = (error: unknown): boolean =>
  error instanceof StoreError && error.code === 'store-refused'

/** Throws a `RecordTooLargeError`. Characters are counted first: nearly all are far from the limit. */
export function requireFits(data: string, maxBytes: number, what?: string) {
  if (data.length * 3 <= maxBytes) return
  const bytes = Buffer.byteLength(data)
  if (bytes > maxBytes) throw new RecordTooLargeError(bytes, maxBytes, what)
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
