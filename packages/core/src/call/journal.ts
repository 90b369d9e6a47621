import type { Effect, Receipt } from '../context/call-log.js'
import { DurableError, isRefused, RecordRefusedError, requireFits } from '../errors.js'
import type { StoreError } from '../errors.js'
import type { Durability } from '../store/durability.js'
import { begun, repeatWhileStoreFails, whileStoreFails } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import { splitId } from '../store/store.js'
import type { CallAppended, CloseCall, EntryId, NewEntry, Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { encodeRecord, isHeard, isTerminal } from './record.js'
import type { CallRecord, RecordKind } from './record.js'
import { WaitingRecords } from './waiting-records.js'
import type { Backlog } from './waiting-records.js'

/** This node may not append to the journal any more: another one took the call over, or the call is gone. */
export class JournalLostError extends DurableError {
  constructor(readonly reason: 'fenced' | 'gone') {
    super(
      `journal-${reason}`,
      reason === 'fenced' ? 'Another node has taken this call over.' : 'The call was deleted.',
    )
  }
}

/** The journal had its terminal record already. */
export class JournalClosedError extends DurableError {
  constructor() {
    super('journal-closed', 'The call has ended; nothing can be sent for it any more.')
  }
}

/** Nothing can be said for the call by this node any more. */
export const isOver = (error: unknown) =>
  error instanceof JournalClosedError || error instanceof JournalLostError

/** `id`: the record that stands last. `abandoned`: ends the wait for a store that is away; what is not acknowledged then fails. */
export type JournalStart = {
  scope: string
  callId: string
  id: EntryId
  close: CloseCall
  abandoned: Ending
  onLost: () => void
  /** The terminal record stands, or never will; `isRecorded`: it does. */
  onClosed: (isRecorded: boolean) => void
}

export type JournalServices = { store: Store; watcher: Watcher; maxRecordBytes: number; backlog: Backlog }

/** What a handler may say before what it has said is written: as many messages, of as many characters. */
const MOST_POSTED = 32
const MOST_CHARS = 16 * 1024

/** A record on its way. A class, not a literal: see CONTRIBUTING.md. */
class Writing implements NewEntry {
  constructor(
    readonly id: EntryId,
    readonly data: string,
    readonly after: number,
    readonly kind: RecordKind,
    readonly effect: Effect | undefined,
    readonly receipt: Receipt,
    readonly durability: Durability | undefined,
  ) {}

  get closes() {
    return isTerminal(this.kind)
  }

  /** No reader of the journal waits for it. */
  get isQuiet() {
    return !isHeard(this.kind) && !this.closes && !this.effect
  }
}

const NONE: readonly Writing[] = []

/** A record in the form in which it is stored. */
class Encoded {
  constructor(
    readonly kind: RecordKind,
    readonly data: string,
  ) {}
}

/**
 * The owner's end of a call's journal.
 *
 * Invariant: `append` resolves only when the store has acknowledged the record, and records are
 * acknowledged in the order of their ids. One append is under way at a time; what is asked for
 * meanwhile goes out together in the next one. While the store is away the append is repeated: its
 * ids make that safe, and end it as `fenced` or `gone` if the world moved on.
 */
export class Journal {
  readonly #store: Store
  readonly #watcher: Watcher
  readonly #at: JournalStart
  readonly #maxBytes: number
  readonly #epoch: number
  readonly #beganAt = performance.now()
  #seq: number
  /** The last entry that this node's readers were told of. */
  #told: EntryId
  readonly #waiting: WaitingRecords<Writing>
  /** The last record that the store has acknowledged. */
  #acknowledged: EntryId
  /** What is on its way to the store; empty when nothing is. */
  #writing: readonly Writing[] = NONE
  #closed = false
  #lost: Error | undefined

  constructor({ store, watcher, maxRecordBytes, backlog }: JournalServices, at: JournalStart) {
    this.#waiting = new WaitingRecords(backlog, 2 * maxRecordBytes)
    this.#maxBytes = maxRecordBytes
    this.#store = store
    this.#watcher = watcher
    this.#at = { ...at }
    this.#told = at.id
    this.#acknowledged = at.id
    const [epoch, seq] = splitId(at.id)
    this.#epoch = epoch
    this.#seq = seq
  }

  /** False once the terminal record is asked for, or the journal is lost. */
  get open() {
    return !this.#closed && !this.#lost
  }

  /** The record that stands last; `undefined`: one is on its way. */
  get last(): EntryId | undefined {
    return this.#writing.length > 0 ? undefined : this.#acknowledged
  }

  /** Throws an `UnrecordableError`; nothing has changed then. */
  encode(record: CallRecord): Encoded {
    const data = encodeRecord(record)
    requireFits(data, this.#maxBytes)
    return new Encoded(record.kind, data)
  }

  /** Resolves when the record is acknowledged. */
  append(record: CallRecord | Encoded): Promise<unknown> {
    return new Promise((resolve, reject) => this.write(record, { resolve, reject }))
  }

  /** Never throws: `receipt` is told all there is to say, now or later. */
  write(record: CallRecord | Encoded, receipt: Receipt, effect?: Effect, durability?: Durability) {
    if (!this.open) return receipt.reject(this.#lost ?? new JournalClosedError())
    let encoded: Encoded
    try {
      encoded = record instanceof Encoded ? record : this.encode(record)
    } catch (error) {
      return receipt.reject(error)
    }
    const { kind, data } = encoded
    const id = `${this.#epoch}-${++this.#seq}`
    const after = Math.round(performance.now() - this.#beganAt)
    const writing = new Writing(id, data, after, kind, effect, receipt, durability)
    if (writing.closes) this.#closed = true
    if (this.#writing.length > 0) this.#waiting.push(writing)
    else this.#send([writing])
  }

  /**
   * As `append`, but nobody needs to wait for the record: resolves at once, unless more than a little waits to be written.
   * Rejects with an `UnrecordableError` as `encode` throws it, and where nobody waits and too much does.
   */
  async post(record: CallRecord): Promise<void> {
    const encoded = this.encode(record)
    this.#waiting.requireRoom(MOST_POSTED)
    const appended = this.append(encoded)
    const last = this.#waiting.last ?? encoded
    const isLittle = this.#waiting.length <= MOST_POSTED && last.data.length <= MOST_CHARS
    if (this.open && isLittle) appended.catch(() => undefined)
    else await appended
  }

  #send(batch: readonly Writing[]) {
    this.#writing = batch
    const sent = batch.every(({ isQuiet }) => isQuiet) ? this.#appendQuietly(batch) : this.#append()
    sent.then(this.#onOutcome, this.#onFirstFailure)
  }

  readonly #onFirstFailure = (failure: unknown) => {
    // What went out with it, of this call or of others, may be what was refused.
    const again = isRefused(failure)
      ? whileStoreFails(() => this.#append(), this.#at.abandoned)
      : repeatWhileStoreFails(() => this.#append(), failure, this.#at.abandoned)
    again.then(this.#onOutcome, (error: unknown) =>
      isRefused(error) ? this.#onRefusal(error as StoreError) : this.#onFailure(error),
    )
  }

  readonly #onOutcome = (outcome: CallAppended) => {
    if (outcome === 'fenced' || outcome === 'gone') return this.#onFailure(new JournalLostError(outcome))
    const batch = this.#writing
    if (outcome === 'appended') this.#acknowledged = batch.at(-1)?.id ?? this.#acknowledged
    try {
      if (outcome === 'appended') this.#tell(batch)
      if (this.#closes(batch)) this.#at.onClosed(true)
    } catch (error) {
      return this.#onFailure(error)
    }
    for (const { receipt } of batch) receipt.resolve(outcome === 'appended' ? 'recorded' : outcome)
    this.#writing = NONE
    if (this.#waiting.length > 0) this.#send(this.#waiting.takeBatch())
  }

  /** The journal goes on without what the store will not take. */
  #onRefusal(error: StoreError) {
    const [first, ...others] = this.#writing
    this.#writing = NONE
    if (first && others.length > 0) {
      this.#waiting.putBack([first, ...others])
    } else if (first) {
      if (first.closes) this.#closed = false
      first.receipt.reject(new RecordRefusedError(error))
    }
    if (this.#writing.length === 0 && this.#waiting.length > 0) this.#send(this.#waiting.takeBatch())
  }

  readonly #onFailure = (error: unknown) => {
    this.#lost = error as Error
    const failed = [...this.#writing, ...this.#waiting.takeAll()]
    this.#writing = NONE
    if (error instanceof JournalLostError) this.#at.onLost()
    if (this.#closes(failed)) this.#at.onClosed(false)
    for (const { receipt } of failed) receipt.reject(error)
  }

  #closes(batch: readonly Writing[]) {
    return batch.some(({ closes }) => closes)
  }

  #appendQuietly(batch: readonly Writing[]): Promise<CallAppended> {
    const { scope, callId } = this.#at
    return begun(() => this.#store.appendQuietly(scope, callId, batch))
  }

  #append(): Promise<CallAppended> {
    const batch = this.#writing
    const { scope, callId, close } = this.#at
    const closing = this.#closes(batch) ? close : undefined
    return begun(() => this.#store.appendCall(scope, callId, batch, closing, batch[0]?.effect))
  }

  /** Of what they show; what is quiet they pass over. */
  #tell(batch: readonly Writing[]) {
    const entries = batch.filter(({ isQuiet }) => !isQuiet)
    const last = entries.at(-1)
    if (!last) return
    const { scope, callId } = this.#at
    this.#watcher.appended(scope, `call:${callId}`, { previous: this.#told, entries })
    this.#told = last.id
  }
}
