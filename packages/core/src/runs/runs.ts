import { encodeInboxItem, MAX_INBOX } from '../call/inbox.js'
import type { InboxItem } from '../call/inbox.js'
import { TransientNode } from '../call/transient-node.js'
import type { Action } from '../call/record.js'
import { randomId, requestKeyPrefix } from '../ids.js'
import { recognising } from '../seal/sealed-store.js'
import type { CallPlace } from '../session/place.js'
import type { Store } from '../store/store.js'
import { isParked } from '../store/takeover.js'
import { RunRefusedError } from './errors.js'
import { withHistory } from './histories.js'
import { make, requireOnly } from './made-run.js'
import type { Making } from './made-run.js'
import { RecordedRun } from './recorded-run.js'
import type { Ending } from './recorded-run.js'
import { beginningOf, effectsIn, requireWhole, sleepingIn, told } from './steps.js'
import type { StepOfRun } from './steps.js'

/** What was done is recorded with the call; `inHistory`: and kept in its history, as the nodes do. */
export type Acted = { inHistory: boolean }
/** `call`: which was made. */
export type Made = Acted & { call: CallPlace }

/**
 * Acting on calls from outside, on whichever node they run. Each throws a `RunRefusedError`, having changed nothing, where a
 * guarantee would not hold; and a `StoreError`.
 */
export interface Runs {
  /**
   * Cancels an open call as its client would: the node that runs it aborts its handler, or the next one that claims it. Resolves when
   * that can't be lost any more. `reason`: for the handler, and in the journal.
   */
  cancel(call: CallPlace, options?: { reason?: string }): Promise<Acted>
  /**
   * Ends now what a call sleeps (`ctx.sleep`), on whichever node it is, or on none. Also hands over a call that `retry` or `fork` has
   * made and could not hand over, and one whose owner no list of nodes names.
   */
  resume(call: CallPlace): Promise<Acted>
  /**
   * Does a call of a tool again that has failed, was cancelled, or whose outcome is unknown: another call with its arguments and its
   * caller, in the same session if it was in one. Nobody listens to it: its result is in its journal. What it had begun at most
   * once is begun again, which needs `repeat`; so does a tool that is not durable, unless it has answered. A call that is parked
   * since it fits the code of no node is tried again itself, by any of them: `call` is that call.
   */
  retry(call: CallPlace, options?: { repeat?: boolean }): Promise<Made>
  /**
   * Goes on from a step of a call that has ended: another call, as `retry` makes it, that finds all steps before this one as they
   * ended, and runs from there. `repeat`: also what it had begun at most once from there on, or changed of a state.
   */
  fork(call: CallPlace, options: { from: StepOfRun; repeat?: boolean }): Promise<Made>
}

const MOST_CHARS = 200
const MAX_REASON_CHARS = 1000
const UNRECORDED =
  'the tool is not durable, so nothing tells what it had done when it was interrupted, and it would begin anew. Look what it did; then say that it may (`repeat`, --yes).'
const CANCELLED_BY_OPERATOR = 'The call was cancelled by an operator of the server.'

/** `by`: who acts, for the records: one line, of up to 200 characters. `store`: as nodes have it, of the same name. */
export function runsOf(store: Store, { by }: { by: string }): Runs {
  if (by === '' || by.length > MOST_CHARS || /\p{Cc}/u.test(by))
    throw new TypeError(`runsOf(): \`by\` is one line of 1 to ${MOST_CHARS} characters.`)
  return new StoredRuns(recognising(store), by)
}

class StoredRuns implements Runs {
  readonly #store: Store
  readonly #by: string

  constructor(store: Store, by: string) {
    this.#store = store
    this.#by = by
  }

  cancel(place: CallPlace, { reason = CANCELLED_BY_OPERATOR }: { reason?: string } = {}): Promise<Acted> {
    return withHistory(this.#store, place.scope, async (store, inHistory) => {
      const run = await openRun(store, place)
      for (const { id } of run.runs.request.messages) {
        const requestKey = requestKeyPrefix(id)
        const item = {
          kind: 'cancelled',
          requestKey,
          reason: reason.slice(0, MAX_REASON_CHARS),
          by: this.#by,
        } as const
        const { scope, callId } = place
        const limits = { nonce: randomId(), maxLength: MAX_INBOX, ifOpen: callId }
        const left = await store.append(scope, `call:${callId}:in`, encodeInboxItem(item), limits)
        if (left === undefined) throw await hasEnded(store, place)
      }
      await this.#passOn(store, place, 'cancel')
      return { inHistory }
    })
  }

  resume(place: CallPlace): Promise<Acted> {
    return withHistory(this.#store, place.scope, async (store, inHistory) => {
      const run = await openRun(store, place)
      const steps = sleepingIn(run)
      if (steps.length > 0) await this.#wake(store, place, steps)
      else await this.#handOver(store, run)
      return { inHistory }
    })
  }

  async #wake(store: Store, place: CallPlace, steps: readonly string[]) {
    await this.#leave(store, place, { kind: 'woken', steps, by: this.#by })
    await this.#passOn(store, place, 'resume')
  }

  /** For whoever owns the call. */
  async #leave(store: Store, place: CallPlace, item: InboxItem) {
    const { scope, callId } = place
    const limits = { nonce: randomId(), maxLength: MAX_INBOX, ifOpen: callId }
    const left = await store.append(scope, `call:${callId}:in`, encodeInboxItem(item), limits)
    if (left === undefined) throw await hasEnded(store, place)
  }

  async #handOver(store: Store, run: RecordedRun) {
    const { place, isUnbegun, isWhole } = run
    const { of } = run.runs.request
    if (isUnbegun && of?.action === 'retry') await requireOnly(store, run, of, this.#by)
    const owner = await unseenOwner(store, place)
    const isLeft = owner !== undefined && (isUnbegun ? isWhole : !isParked(owner))
    if (isLeft && (await this.#pass(store, place, owner, 'resume', { isNew: isUnbegun }))) return
    throw new RunRefusedError(
      'run-awake',
      run.isUnbegun && !run.isWhole
        ? 'the fork was not finished. Fork the other call again; this one goes by its expiry.'
        : 'the call does not sleep: it runs, or waits for its client.',
    )
  }

  retry(place: CallPlace, { repeat = false }: { repeat?: boolean } = {}): Promise<Made> {
    return withHistory(this.#store, place.scope, async (store, inHistory) => {
      const run = await RecordedRun.read(store, place)
      if (run.ending || !run.runs.isLeft || run.runs.divergences.length === 0)
        return this.#repeat(place, repeat)
      await this.#leave(store, place, { kind: 'retried', by: this.#by })
      await this.#passOn(store, place, 'retry')
      return { call: place, inHistory }
    })
  }

  #repeat(place: CallPlace, repeat: boolean): Promise<Made> {
    return this.#make(place, (run, ending) => {
      if (ending.status === 'completed')
        throw new RunRefusedError(
          'run-succeeded',
          `the call ${ending.told}: call the tool again instead, or fork it.`,
        )
      const [handler = 'plain'] = run.runs.handlers
      const isSaid = ending.status === 'failed' || handler === 'none' || handler === 'durable'
      if (!isSaid && handler !== 'repeatable' && !repeat) throw new RunRefusedError('run-repeats', UNRECORDED)
      if (!repeat) requireNoEffects(run.records)
      const how = { action: 'retry', by: this.#by } as const
      return { how, handler: 'none', records: [], once: true }
    })
  }

  fork(place: CallPlace, { from, repeat = false }: { from: StepOfRun; repeat?: boolean }): Promise<Made> {
    return this.#make(place, (run) => {
      if (run.runs.handlers[0] !== 'durable')
        throw new RunRefusedError('run-step', 'only a durable tool has steps.')
      const { id, at } = beginningOf(run, from)
      const before = run.records.slice(0, at)
      requireWhole(run, before)
      if (!repeat) requireNoEffects(run.records.slice(at))
      const records = run.entries.slice(0, at).filter((_, index) => before[index]?.kind === 'step')
      const how = { action: 'fork', by: this.#by, from: id } as const
      return { how, handler: 'durable', records, once: false }
    })
  }

  #make(place: CallPlace, making: (run: RecordedRun, ending: Ending) => Making): Promise<Made> {
    return withHistory(this.#store, place.scope, async (store, inHistory) => {
      const run = await RecordedRun.read(store, place)
      const { ending } = run
      if (!ending)
        throw new RunRefusedError(
          'run-open',
          'the call has not ended. Wait until it has, or cancel it first.',
        )
      requireMakeable(run)
      return { call: await make(store, run, making(run, ending)), inHistory }
    })
  }

  /** Whether its owner is seen or not, what was left for it is found. */
  async #passOn(store: Store, place: CallPlace, action: Action) {
    const owner = await unseenOwner(store, place)
    if (owner !== undefined) await this.#pass(store, place, owner, action)
  }

  #pass(store: Store, place: CallPlace, owner: string, action: Action, options?: { isNew: boolean }) {
    return new TransientNode(store).pass(place, owner, { by: this.#by, action }, options)
  }
}

/** The owner of an open call that no node looks at: none, or one that is in no list, so that nobody finds it dead. */
async function unseenOwner(store: Store, { scope, callId }: CallPlace): Promise<string | undefined> {
  const owner = (await store.listOpenCalls(scope)).find((open) => open.callId === callId)?.owner
  if (owner === undefined || isParked(owner)) return owner
  return (await store.listNodes()).some(({ node }) => node === owner) ? undefined : owner
}

function requireMakeable({ records, runs }: RecordedRun) {
  if (records.includes(undefined))
    throw new RunRefusedError(
      'run-foreign',
      'a newer version of this library has run the call: act on it with that version.',
    )
  const { messages } = runs.request
  if (messages.length !== 1 || messages[0]?.method !== 'tools/call')
    throw new RunRefusedError(
      'run-foreign',
      'the call is not one call of a tool: let its client send it again.',
    )
}

function requireNoEffects(records: RecordedRun['records']) {
  const effects = effectsIn(records)
  if (effects.size > 0)
    throw new RunRefusedError(
      'run-repeats',
      `these steps had begun, run at most once in one call or change a state, and would have their effect again: ${told(effects)}. ` +
        'Look what they did; then say that they may (`repeat`, --yes).',
    )
}

/** What took nothing any more was open a moment ago. */
async function hasEnded(store: Store, place: CallPlace): Promise<Error> {
  await openRun(store, place)
  return new RunRefusedError('run-gone', 'the call was deleted just now.')
}

/** Throws if it has ended, and says how. */
async function openRun(store: Store, place: CallPlace): Promise<RecordedRun> {
  const run = await RecordedRun.read(store, place)
  const { ending } = run
  if (ending)
    throw new RunRefusedError('run-ended', `the call ${ending.told}: there is nothing left to do for it.`)
  return run
}
