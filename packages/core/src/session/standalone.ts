import type { CallHost } from '../call/call.js'
import { decodeInboxItem, INBOX_OPENED, MAX_INBOX } from '../call/inbox.js'
import { isRandomId, randomId } from '../ids.js'
import { isRequest } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { Settings } from '../settings.js'
import { whileStoreFails, within } from '../store/retry.js'
import { BEGINNING } from '../store/store.js'
import type { Store } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'

/** How long a message may wait for a store that is away. */
const SEND_WITHIN_MS = 10_000
const PAGE = 500

/** Messages of a host that belong to no call: they go to the session's standalone stream. */
export interface Standalone {
  /** `once`: a name under which it is sent once, whichever node sends it. */
  send(message: JsonRpcMessage, once?: string): Promise<void>
  /** Opens the inbox in which answers for this host arrive. */
  openInbox(hostId: string, host: CallHost): Promise<() => void>
}

/** What is said to clients outside of their calls, by server objects and by the application. */
export class StandaloneMessages {
  readonly #store: Store
  readonly #watcher: Watcher
  readonly #settings: Settings

  constructor(store: Store, watcher: Watcher, settings: Settings) {
    this.#store = store
    this.#watcher = watcher
    this.#settings = settings
  }

  /** Appends to the session's standalone stream; waits there until a client reads it. `false`: no such session. */
  async notify(sessionId: string, message: JsonRpcMessage, once = randomId()): Promise<boolean> {
    const options = { nonce: once, maxLength: this.#settings.maxStandaloneEvents }
    const data = JSON.stringify(message)
    const id = await whileStoreFails(
      () => this.#store.append(sessionId, 'out', data, options),
      within(SEND_WITHIN_MS),
    )
    return id !== undefined
  }

  /** Notifies every session there is; resolves to their number. */
  async broadcast(message: JsonRpcMessage): Promise<number> {
    let sent = 0
    let cursor: string | undefined
    do {
      const page = await this.#store.listSessions(cursor, PAGE)
      // The store may keep the events of other transports as well.
      const ids = page.ids.filter(isRandomId)
      const outcomes = await Promise.all(ids.map((id) => this.notify(id, message)))
      sent += outcomes.filter(Boolean).length
      cursor = page.cursor
    } while (cursor !== undefined)
    return sent
  }

  /** For the server object of one session: what it says outside of calls, and how it hears answers to that. */
  of(sessionId: string): Standalone {
    return {
      send: async (message, once) => {
        const sent = await this.notify(sessionId, message, once)
        if (!sent && isRequest(message)) throw new Error('The session does not exist any more.')
      },
      openInbox: (hostId, host) => this.#openInbox(sessionId, hostId, host),
    }
  }

  async #openInbox(sessionId: string, hostId: string, host: CallHost) {
    const log = `call:${hostId}:in` as const
    await this.#store.append(sessionId, log, INBOX_OPENED, { nonce: randomId(), maxLength: MAX_INBOX })
    const tail = new Tail(
      this.#store,
      this.#watcher,
      { scope: sessionId, log, after: BEGINNING },
      {
        write: (entry) => {
          const item = decodeInboxItem(entry.data)
          if (item?.kind === 'message') host.receive(item.message)
          return true
        },
        over: () => tail.end(),
      },
    )
    return () => {
      tail.end()
      void this.#store.dropLog(sessionId, log).catch(() => undefined)
    }
  }
}
