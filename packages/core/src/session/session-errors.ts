import { DurableError } from '../errors.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import type { JsonRpcError } from '../json-rpc.js'
import { HTTP_ANSWER, httpAnswerOf } from '../proxy/refusal.js'

const LONGEST_REASON = 300

/** The session was deleted or has expired. */
export class SessionGoneError extends DurableError {
  constructor() {
    super('session-gone', 'The session does not exist any more.')
  }
}

/** The session began with a server that calls itself otherwise: here, there is no such session. */
export class OtherServerError extends SessionGoneError {}

/** The session was begun at another address, and the server at this one does not say whether it is the same. */
export class ServerUnknownError extends DurableError {
  constructor() {
    super(
      'server-unknown',
      'The server behind this one can’t be asked whether the session is its own. Try again.',
    )
  }
}

/** The server behind this one did not answer what a request needs. */
export class ServerSilentError extends DurableError {
  constructor(method: string) {
    super('setup-timeout', `the server behind this one did not answer ${method} in time.`)
  }
}

/** The application has closed a server object that is not its own to close. */
export class ServerClosedError extends DurableError {
  constructor() {
    super('server-closed', 'The server object was closed by its application. Leave that to mcp-durable.')
  }
}

/** A server object asked outside of any call, in a version without sessions. */
export class NobodyToAskError extends DurableError {
  constructor() {
    super('nobody-to-ask', 'Without a session only the client of a running call can be asked.')
  }
}

/** Every server object this node may hold is at work. */
export class ServersBusyError extends DurableError {
  constructor() {
    super('servers-busy', 'This node holds as many sessions as it may; all of them are at work.')
  }
}

/** A server object, or the server behind it, does not begin to serve this client; with its own word on why. */
export class ServerRefusedError extends Error {
  constructor(readonly refusal: JsonRpcError) {
    super(refusal.error.message)
  }

  /** It is the caller that is not let in, and another try would not help. */
  get isOfCaller() {
    const { status = 0 } = httpAnswerOf(this.refusal) ?? {}
    return status === 401 || status === 403
  }
}

/** Of a server object of this process that has refused `initialize`: all that stands in it is what the client says of itself. */
export function notTaken({ id, error }: JsonRpcError): JsonRpcError {
  const reason = error.message.replaceAll(/\s+/g, ' ').slice(0, LONGEST_REASON)
  const message = `Invalid params: the server does not take what the client says of itself: ${reason}`
  const refusal = errorResponse(id ?? null, ErrorCode.invalidParams, message)
  return Object.assign(refusal, { [HTTP_ANSWER]: { status: 400, headers: {} } })
}
