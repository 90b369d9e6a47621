import type { Effect } from '../context/call-log.js'
import { DurableError } from '../errors.js'
import { whileStoreFails } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import { splitId } from '../store/store.js'
import type { CloseCall, EntryId, NewEntry, Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { encodeRecord, isShown, isTerminal } from './record.js'
import type { CallRecord } from './record.js'

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

/** `id`: the record that stands last. `abandoned`: ends the wait for a store that is away; what is not acknowledged then fails. */
export type JournalStart = {
  scope: string
  callId: string
  id: EntryId
  close: CloseCall
  abandoned: Ending
  onLost: () => void
  /** The terminal record stands, or never will. */
  onClosed: () => void
}

/** What a handler may say before what it has said is written: as many messages, of as many characters. */
const MOST_POSTED = 32
const MOST_CHARS = 16 * 1024

type Waiting = {
  record: CallRecord
  entry: NewEntry
  effect: Effect | undefined
  resolve: (outcome: 'recorded' | 'conflict') => void
  reject: (error: Error) => void
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
  readonly #epoch: number
  readonly #beganAt = performance.now()
  #seq: number
  /** The last entry that this node's readers were told of. */
  #told: EntryId
  #waiting: Waiting[] = []
  #writing = false
  #closed = false
  #lost: Error | undefined

  constructor(store: Store, watcher: Watcher, at: JournalStart) {
    this.#store = store
    this.#watcher = watcher
    this.#at = at
    this.#told = at.id
    const [epoch, seq] = splitId(at.id)
    this.#epoch = epoch
    this.#seq = seq
  }

  /** False once the terminal record is asked for, or the journal is lost. */
  get open() {
    return !this.#closed && !this.#lost
  }

  /** Resolves when the record is acknowledged; `conflict`: the effect did not apply, and nothing was recorded. */
  append(record: CallRecord, effect?: Effect): Promise<'recorded' | 'conflict'> {
    if (!this.open) return Promise.reject(this.#lost ?? new JournalClosedError())
    const close = isTerminal(record.kind)
    if (close) this.#closed = true
    const id = `${this.#epoch}-${++this.#seq}`
    const after = Math.round(performance.now() - this.#beganAt)
    const entry = { id, data: encodeRecord(record), after, quiet: !isShown(record.kind) && !close }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, entry, effect, resolve, reject })
      if (!this.#writing) void this.#write()
    })
  }

  /** As `append`, but nobody needs to wait for the record: resolves at once, unless more than a little waits to be written. */
  async post(record: CallRecord): Promise<void> {
    const appended = this.append(record)
    const isLittle =
      this.#waiting.length <= MOST_POSTED && (this.#waiting.at(-1)?.entry.data.length ?? 0) <= MOST_CHARS
    if (this.open && isLittle) appended.catch(() => undefined)
    else await appended
  }

  async #write() {
    this.#writing = true
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch()
      try {
        const outcome = await this.#appendUntilKnown(batch)
        if (outcome === 'fenced' || outcome === 'gone') throw new JournalLostError(outcome)
        this.#acknowledge(batch, outcome)
      } catch (error) {
        this.#lose(batch, error as Error)
      }
    }
    this.#writing = false
  }

  #acknowledge(batch: readonly Waiting[], outcome: 'appended' | 'conflict') {
    if (outcome === 'appended') this.#tell(batch)
    if (this.#closes(batch)) this.#at.onClosed()
    for (const { resolve } of batch) resolve(outcome === 'appended' ? 'recorded' : outcome)
  }

  #lose(batch: readonly Waiting[], error: Error) {
    this.#lost = error
    const failed = [...batch, ...this.#waiting.splice(0)]
    if (error instanceof JournalLostError) this.#at.onLost()
    if (this.#closes(failed)) this.#at.onClosed()
    for (const { reject } of failed) reject(error)
  }

  #closes(batch: readonly Waiting[]) {
    return batch.some(({ record }) => isTerminal(record.kind))
  }

  /** What waits, up to the next record with an effect; that one goes alone, since it may not apply. */
  #nextBatch() {
    const next = this.#waiting.findIndex(({ effect }) => effect)
    return this.#waiting.splice(0, next < 0 ? this.#waiting.length : Math.max(next, 1))
  }

  #appendUntilKnown(batch: readonly Waiting[]) {
    const entries = batch.map(({ entry }) => entry)
    const { scope, callId, close, abandoned } = this.#at
    const closing = this.#closes(batch) ? close : undefined
    return whileStoreFails(
      () => this.#store.appendCall(scope, callId, entries, closing, batch[0]?.effect),
      abandoned,
    )
  }

  /** Of what they show; what is quiet they pass over. */
  #tell(batch: readonly Waiting[]) {
    const entries = batch.flatMap(({ entry }) => (entry.quiet ? [] : [entry]))
    const last = entries.at(-1)
    if (!last) return
    const { scope, callId } = this.#at
    this.#watcher.appended(scope, `call:${callId}`, { previous: this.#told, entries })
    this.#told = last.id
  }
}
