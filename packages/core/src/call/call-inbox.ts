import { BEGINNING } from '../store/store.js'
import type { Entry, EntryId, Store } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'
import { decodeInboxItem } from './inbox.js'
import type { InboxItem } from './inbox.js'

export type CallInboxSink = {
  /** Answers whether more is wanted. */
  receive(item: InboxItem | undefined): boolean
  /** There is no inbox any more. */
  over(): void
  /** What came can't be opened on this node. */
  sealed(): void
}

/** What comes for a call, at its owner: in order, and nothing while it is decided whether the call stays here. */
export class CallInbox {
  readonly #tail: Tail
  readonly #sink: CallInboxSink
  #heard: EntryId = BEGINNING
  #held: Entry[] | undefined

  /** `past`: what has been read of it already; the sink gets it by `catchUp`. */
  constructor(
    services: { store: Store; watcher: Watcher },
    call: { scope: string; callId: string },
    past: readonly Entry[] | undefined,
    sink: CallInboxSink,
  ) {
    const after = past?.at(-1)?.id ?? BEGINNING
    const from = { scope: call.scope, log: `call:${call.callId}:in`, after, caughtUp: !past } as const
    this.#sink = { ...sink }
    this.#tail = new Tail(services.store, services.watcher, from, {
      write: (entry) => this.#receive(entry),
      over: () => this.#sink.over(),
      sealed: () => this.#sink.sealed(),
    })
  }

  catchUp(past: readonly Entry[]) {
    for (const entry of past) this.#receive(entry)
  }

  /** The last entry that was dealt with. */
  get heard(): EntryId {
    return this.#heard
  }

  get isHeld() {
    return this.#held !== undefined
  }

  /** What comes meanwhile is given to the sink afterwards. */
  async holdWhile<T>(decide: () => Promise<T>): Promise<T> {
    const held: Entry[] = []
    this.#held = held
    try {
      return await decide()
    } finally {
      this.#held = undefined
      this.catchUp(held)
    }
  }

  end() {
    this.#tail.end()
  }

  #receive(entry: Entry): boolean {
    if (this.#held) {
      this.#held.push(entry)
      return true
    }
    this.#heard = entry.id
    return this.#sink.receive(decodeInboxItem(entry.data))
  }
}
