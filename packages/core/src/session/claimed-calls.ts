import type { Calls, TakenOver } from '../call/calls.js'
import type { Claimed } from '../call/claims.js'
import type { Takeovers } from '../call/takeovers.js'
import { partingOf } from '../context/divergence.js'
import { isSealed } from '../errors.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import { sessionOf } from '../protocol.js'
import type { TakeoverOutcome } from '../signals/events.js'
import type { Signals } from '../signals/signals.js'
import type { Ending } from '../store/retry.js'
import { outcomeUnknown } from './recovery.js'

export type ClaimedCallServices = {
  calls: Calls
  takeovers: Pick<Takeovers, 'giveBack' | 'diverged'>
  /** What runs a call again, or ends it if that must not be. */
  recover: (taken: TakenOver) => Promise<TakeoverOutcome>
  logger: Logger
  signals: Signals
  /** Fires when this node leaves. */
  leaving: Ending
}

/** Calls that are this node's now: each is run again, ended, or given back. */
export class ClaimedCalls {
  readonly #services: ClaimedCallServices

  constructor(services: ClaimedCallServices) {
    this.#services = services
  }

  /** Never rejects. The call stays open until it has run, so it is not given up easily. */
  async run(claimed: Claimed) {
    const { calls, takeovers, logger, signals, leaving } = this.#services
    const beganAt = performance.now()
    try {
      const taken = await calls.takeOver(claimed, leaving.signal)
      if (!taken) return
      if (taken.isDiverged) return await this.#park(taken)
      const turn = await calls.admit(taken)
      if (turn === 'queued' || turn === 'ended') return
      if (turn === 'returned') taken.call.abandon('It is claimed again.')
      if (turn === 'returned') return await takeovers.giveBack(claimed)
      // A call that was opened here, and not begun, was nobody else's; nor was one that was parked.
      const isTakeover = taken.call.attempt > 1 && !taken.runs.isContinued
      const isObserved = isTakeover && signals.takeover
      const outcome = await (isObserved ? this.#recoverObserved(taken, beganAt) : this.#recover(taken))
      if (outcome === 'parked') return await this.#park(taken)
      if (outcome === 'returned') await takeovers.giveBack(claimed)
    } catch (error) {
      if (leaving.signal.aborted) return
      // Not counted: what another node can read is not why its nodes died.
      if (isSealed(error)) return await this.#giveBackSealed(claimed, error)
      logger.error({ error, session: shortId(claimed.scope) }, 'taking a call over failed')
      // Counted: what can't even be read by anybody must end some time.
      await takeovers.giveBack(claimed, { wasTried: true }).catch(() => undefined)
    }
  }

  async #recover(taken: TakenOver): Promise<TakeoverOutcome> {
    const { recover, logger } = this.#services
    try {
      return await recover(taken)
    } catch (error) {
      if (isSealed(error)) {
        taken.call.abandon(error.message)
        throw error
      }
      logger.error({ error, session: shortId(taken.call.scope) }, 'a call could not be run again')
      await taken.call.end((request) => outcomeUnknown(request, 'failed'))
      return 'unknown'
    }
  }

  /** It fits no code that is there: nothing runs it here. */
  async #park({ call, runs, claimed, isRetried }: TakenOver) {
    const { logger, takeovers } = this.#services
    const { diverged } = takeovers
    if (runs.isLeft) return diverged.park(call, runs.divergences, isRetried)
    const last = runs.divergences.at(-1)
    const about = { session: shortId(call.scope), call: shortId(call.id) }
    logger.warn(
      { ...about, reason: last && partingOf(last) },
      'a call stays parked: code like this did not fit its journal',
    )
    call.abandon('It is parked.')
    await diverged.leave(claimed, isRetried)
  }

  async #giveBackSealed(claimed: Claimed, { message: reason }: Error) {
    const { takeovers, logger } = this.#services
    const { scope, callId } = claimed
    logger.warn({ session: shortId(scope), call: shortId(callId), reason }, 'a call was given back')
    await takeovers.giveBack(claimed).catch(() => undefined)
  }

  async #recoverObserved(taken: TakenOver, beganAt: number) {
    const { id: callId, scope, attempt, requests } = taken.call
    const sessionId = sessionOf(scope, requests)
    const { trace } = taken.request
    const sinceMs = performance.now() - beganAt
    const observed = this.#services.signals.takeover?.({ requests, trace, sinceMs })
    const outcome = await observed?.run(() => this.#recover(taken))
    if (outcome) observed?.end({ sessionId, callId, attempt, outcome })
    return outcome
  }
}
