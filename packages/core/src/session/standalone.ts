import type { CallServer } from '../call/call-server.js'
import { decodeInboxItem, parseAnswer, parseProgress, progressTopic } from '../call/inbox.js'
import { requireFits } from '../errors.js'
import { isRandomId, randomId } from '../ids.js'
import { encodeMessage, isRequest } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { Settings } from '../settings.js'
import { whileStoreFails, within } from '../store/retry.js'
import { BEGINNING } from '../store/store.js'
import type { Store } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'
import { SessionGoneError } from './session-errors.js'

/** How long a message may wait for a store that is away. */
const SEND_WITHIN_MS = 10_000
const PAGE = 500

/** `once`: a name under which it is sent once. `server`: whose session it must be. */
type Sent = { once?: string | undefined; server?: string | undefined }

/** Messages of a server that belong to no call: they go to the session's standalone stream. */
export interface Standalone {
  /** `once`: a name under which it is sent once, whichever node sends it. */
  send(message: JsonRpcMessage, once?: string): Promise<void>
  /** Listens for answers to this server. What `end` is given has not been answered, and is not expected any more. */
  openInbox(serverId: string, server: CallServer): { end: (unanswered: readonly string[]) => void }
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

  /**
   * Appends to the session's standalone stream; waits there until a client reads it. `false`: no such session. Rejects
   * with an `UnrecordableError` before anything is sent.
   */
  async notify(sessionId: string, message: JsonRpcMessage, once?: string): Promise<boolean> {
    return this.#append(sessionId, this.#encode(message), { once })
  }

  #encode(message: JsonRpcMessage): string {
    const data = encodeMessage(message)
    requireFits(data, this.#settings.maxRecordBytes)
    return data
  }

  async #append(sessionId: string, data: string, { once = randomId(), server }: Sent = {}): Promise<boolean> {
    const { maxStandaloneEvents: maxLength, maxStandaloneBytes: maxBytes } = this.#settings
    const options = { nonce: once, maxLength, maxBytes, server }
    const id = await whileStoreFails(
      () => this.#store.append(sessionId, 'out', data, options),
      within(SEND_WITHIN_MS),
    )
    return id !== undefined
  }

  /** Notifies every session there is, or those of a `server`; resolves to their number. */
  async broadcast(message: JsonRpcMessage, server: string | undefined): Promise<number> {
    const data = this.#encode(message)
    let sent = 0
    let cursor: string | undefined
    do {
      const page = await this.#store.listSessions(cursor, PAGE)
      // The store may keep the events of other transports as well.
      const ids = page.ids.filter(isRandomId)
      const outcomes = await Promise.all(ids.map((id) => this.#append(id, data, { server })))
      sent += outcomes.filter(Boolean).length
      cursor = page.cursor
    } while (cursor !== undefined)
    return sent
  }

  /** For the server object of one session: what it says outside of calls, and how it hears answers to that. */
  of(sessionId: string): Standalone {
    return {
      send: async (message, once) => {
        const data = this.#encode(message)
        if (isRequest(message)) await this.#expectAnswer(sessionId, String(message.id))
        const sent = await this.#append(sessionId, data, { once })
        if (!sent && isRequest(message)) throw new SessionGoneError()
      },
      openInbox: (serverId, server) => this.#openInbox(sessionId, serverId, server),
    }
  }

  async #expectAnswer(sessionId: string, question: string) {
    await whileStoreFails(() => this.#store.expect(sessionId, question), within(SEND_WITHIN_MS))
  }

  #openInbox(sessionId: string, serverId: string, server: CallServer) {
    const log = `call:${serverId}:in` as const
    const topic = progressTopic(serverId)
    const progress = this.#watcher.watch(sessionId, topic, (signal) => {
      if (signal.topic === topic) server.receive(parseProgress(signal.value))
    })
    const tail = new Tail(
      this.#store,
      this.#watcher,
      { scope: sessionId, log, after: BEGINNING },
      {
        write: (entry) => {
          const item = decodeInboxItem(entry.data)
          if (item?.kind === 'answer') server.receive(parseAnswer(item.json))
          return true
        },
        over: () => tail.end(),
      },
    )
    const end = (unanswered: readonly string[]) => {
      tail.end()
      progress.end()
      void this.#store.dropLog(sessionId, log, unanswered).catch(() => undefined)
    }
    return { end }
  }
}
