import { DurableError } from '../errors.js'

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
