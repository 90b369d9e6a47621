import { currentLog } from '../context/run-context.js'
import type { SessionInfo } from './server-factory.js'

/**
 * What a factory is told where there is no session. Of what it has read before it returned it may have made anything, so that
 * is for one request. What is read later is the same for all requests that its server object may serve, except for their names.
 */
export class TellingSession implements ProxyHandler<SessionInfo> {
  /** Whether anything was read before `end`. */
  isRead = false
  #isOver = false

  /** The factory has returned. */
  end() {
    this.#isOver = true
  }

  get(session: SessionInfo, member: keyof SessionInfo) {
    this.#note()
    const isLate = this.#isOver && member === 'sessionId'
    return (isLate ? currentLog()?.scope : undefined) ?? session[member]
  }

  getOwnPropertyDescriptor(session: SessionInfo, member: string | symbol) {
    this.#note()
    return Reflect.getOwnPropertyDescriptor(session, member)
  }

  #note() {
    this.isRead ||= !this.#isOver
  }
}
