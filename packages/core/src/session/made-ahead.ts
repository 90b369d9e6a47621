import { DurableError } from '../errors.js'
import type { ServerFactory, ServerObject, SessionInfo } from './server-factory.js'

const NAMES = ['sessionId', 'clientInfo', 'principal'] as const satisfies (keyof SessionInfo)[]

/** The factory asked for what is not known yet. It is called again when it is, and from then on not before. */
class SessionNotKnownError extends DurableError {
  constructor() {
    super('session-not-known', 'The server object is made before it is known what for.')
  }
}

/**
 * Makes server objects while the store is still asked about their sessions, so that the one hides behind the other.
 * Only for a factory that takes no parameter: any other is told of the session.
 *
 * Invariants: an object is only used for the session, and in the async context, of the request that had it made. One
 * that turns out to be for nobody is closed; no other is made ahead until a session was found, so whoever invents
 * session ids has one made, not one each.
 */
export class MakingAhead {
  readonly #make: ServerFactory
  #may: boolean
  #maybeInVain = false

  constructor(make: ServerFactory) {
    this.#make = make
    this.#may = make.length === 0
  }

  /** Calls the factory, if it may be called now. */
  begin(): MadeAhead | undefined {
    if (!this.#may || this.#maybeInVain) return undefined
    this.#maybeInVain = true
    return new MadeAhead(this.#make, () => (this.#may = false))
  }

  /** A session was found. */
  found() {
    this.#maybeInVain = false
  }
}

/** One server object, on its way to a session that may not exist. */
export class MadeAhead {
  readonly #beganAt = performance.now()
  readonly #session: UnknownSession
  readonly #made: Promise<ServerObject>
  #over = false

  /** `onAsked`: the factory is one that wants to know the session after all. */
  constructor(make: ServerFactory, onAsked: () => void) {
    const session = new UnknownSession(onAsked)
    this.#session = session
    this.#made = new Promise((resolve) => resolve(make(session.info)))
    // If it fails, it is made again when it is needed.
    this.#made.catch(() => undefined)
  }

  /** For how long it has been made. */
  get sinceMs() {
    return performance.now() - this.#beganAt
  }

  /** The object, for this session; `undefined` if it has to be made with knowledge of it. */
  async take(info: SessionInfo): Promise<ServerObject | undefined> {
    this.#session.become(info)
    const made = await this.#made.catch(() => undefined)
    if (this.#session.asked) {
      this.discard()
      return undefined
    }
    this.#over = true
    return made
  }

  /** Closes the object, unless it was taken. */
  discard() {
    if (this.#over) return
    this.#over = true
    this.#made.then((made) => made.close()).catch(() => undefined)
  }
}

/**
 * What a factory gets to see that is called ahead. A function with a rest parameter, or a default, looks like one that
 * takes none; so to ask for anything before it is known throws, and is remembered, whoever catches it. Later it is a
 * plain object, also for whoever has kept it.
 */
class UnknownSession {
  readonly info = {} as SessionInfo
  readonly #onAsked: () => void
  #asked = false

  constructor(onAsked: () => void) {
    this.#onAsked = onAsked
    const refuse = () => {
      this.#ask()
      throw new SessionNotKnownError()
    }
    for (const name of NAMES) {
      Object.defineProperty(this.info, name, {
        get: refuse,
        set: refuse,
        enumerable: true,
        configurable: true,
      })
    }
  }

  get asked() {
    return this.#asked
  }

  become(known: SessionInfo) {
    for (const name of NAMES) {
      const property = { value: known[name], writable: true, enumerable: true, configurable: true }
      // One that was frozen can't be told.
      if (!Reflect.defineProperty(this.info, name, property)) this.#ask()
    }
  }

  #ask() {
    this.#asked = true
    this.#onAsked()
  }
}
