import { setTimeout as sleep } from 'node:timers/promises'
import { encodeInboxItem, MAX_INBOX, progressTopic } from '../call/inbox.js'
import type { InboxItem } from '../call/inbox.js'
import { randomId, requestKeyPrefix } from '../ids.js'
import { encodeJson } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcResponse, RequestId } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Settings } from '../settings.js'
import { whileStoreFails, within } from '../store/retry.js'
import type { Store } from '../store/store.js'
import { CANCELLED } from './listening.js'
import type { CallPlace } from './place.js'
import { askerOf } from './questions.js'
import type { ProxyOrigin } from './server-factory.js'
import type { SessionServers } from './session-servers.js'
import { putState, stateChange, stateKey } from './state.js'
import type { MessageExtra } from './transport.js'

export type ClientMessagesServices = {
  store: Store
  logger: Logger
  settings: Settings
  /** Set if the server objects stand for a server behind HTTP. */
  proxy: ProxyOrigin | undefined
}

/** How long a client waits for an upstream to be told. */
const TOLD_WITHIN_MS = 1000

/** Of what clients say of their progress, so much is looked after at once. */
const MOST_LOOKED_FOR = 100
/** How long an answer waits here for a store that is away. */
const LOOKED_WITHIN_MS = 10_000
/** Of what a client says about a question or a cancellation. */
const MAX_PROGRESS_CHARS = 16 * 1024
const MAX_REASON_CHARS = 1000
const CANCELLED_BY_CLIENT = 'The client cancelled the request.'

/** What a client says that is no request: notifications, and answers to questions. */
export class ClientMessages {
  readonly #services: ClientMessagesServices
  readonly #servers: SessionServers
  #lookedFor = 0

  constructor(services: ClientMessagesServices, servers: SessionServers) {
    this.#services = services
    this.#servers = servers
  }

  /** Takes a notification of the client. Resolves when it can't be lost any more. */
  async notification(
    sessionId: string,
    message: JsonRpcNotification,
    extra: MessageExtra,
  ): Promise<'accepted' | 'unknown' | 'limit'> {
    if (message.method === 'notifications/cancelled') {
      const { requestId, reason } = message.params ?? {}
      const isId = typeof requestId === 'string' || typeof requestId === 'number'
      if (isId)
        await this.#cancel(sessionId, requestId, typeof reason === 'string' ? reason : CANCELLED_BY_CLIENT)
      return 'accepted'
    }
    if (message.method === 'notifications/progress') {
      await this.#progress(sessionId, message, extra)
      return 'accepted'
    }
    if (stateKey(message) === undefined) {
      void this.#inform(sessionId, message, extra)
      return 'accepted'
    }
    const { store, settings } = this.#services
    const entry = stateChange(stateKey(message) ?? '', message)
    const version = await putState(store, sessionId, entry, settings)
    if (typeof version !== 'number') return version
    const informed = this.#inform(sessionId, message, extra, version)
    // One node tells an upstream; another one that is asked next must know that it has.
    if (this.#services.proxy?.shared)
      await Promise.race([informed, sleep(TOLD_WITHIN_MS, undefined, { ref: false })])
    return 'accepted'
  }

  /**
   * Takes a client's answer to a question: the first one. Answers that nobody waits for are dropped, as the SDK does.
   * `full`: the call has been answered as much as it may. `extra`: of a client with a session.
   */
  async answer(
    sessionId: string,
    message: JsonRpcResponse,
    extra?: MessageExtra,
  ): Promise<'accepted' | 'full'> {
    const asker = askerOf(message.id)
    if (asker === undefined) return 'accepted'
    const question = String(message.id)
    const item: InboxItem = { kind: 'answer', question, json: encodeJson(message) }
    const { maxInboxBytes: maxBytes } = this.#services.settings
    const left = await this.#leave(sessionId, asker, item, { answers: question, maxBytes })
    if (typeof left === 'string' && extra) void this.#tellAsker(sessionId, asker, message, extra)
    return left === false ? 'full' : 'accepted'
  }

  /** Hands a notification to the server object, new state after all older state. The client need not wait for that. */
  async #inform(sessionId: string, message: JsonRpcNotification, extra: MessageExtra, version = 1) {
    const isState = version > 1
    try {
      const known = isState ? version - 1 : version
      // What the client says needs no newer values: the next request sees to them.
      const server = await this.#servers.get(sessionId, { version: known, values: 0 }, extra)
      if (isState && server.version >= version) return
      server.notify(message, extra)
      if (isState) server.saw(version)
      await server.settled()
    } catch (error) {
      this.#services.logger.warn(
        { error, session: shortId(sessionId) },
        'a notification waits for the next request',
      )
    }
  }

  /** What a server behind this one has asked outside of its requests belongs to no call that some node runs. */
  async #tellAsker(sessionId: string, asker: string, message: JsonRpcMessage, extra: MessageExtra) {
    const { proxy, logger } = this.#services
    if (!proxy?.shared) return
    this.#lookedFor++
    try {
      const look = () => proxy.hasAsked(sessionId, asker)
      if (!(await whileStoreFails(look, within(LOOKED_WITHIN_MS)))) return
      const server = await this.#servers.get(sessionId, { version: 1, values: 0 }, extra)
      server.clientSaid(asker, message)
    } catch (error) {
      logger.warn({ error, session: shortId(sessionId) }, 'an answer to a question of the server has to wait')
    } finally {
      this.#lookedFor--
    }
  }

  async #cancel(sessionId: string, requestId: RequestId, reason: string) {
    const requestKey = requestKeyPrefix(requestId)
    // A request that is not journaled is known to its node alone; if the word gets lost, it only runs in vain.
    await this.#services.store.publish(sessionId, CANCELLED, requestKey)
    const callIds = await this.#services.store.findCalls(sessionId, requestKey)
    await Promise.all(
      callIds.map((callId) => this.cancelRequest({ scope: sessionId, callId }, requestId, reason)),
    )
  }

  /** Cancels a call, or one request of several, whichever node runs it. */
  async cancelCall(place: CallPlace, requestId: RequestId, why: string): Promise<void> {
    await this.#leaveCancellation(place, requestId, { reason: why })
  }

  /** As `cancelCall`, unless the call goes on as a task. */
  async cancelRequest(place: CallPlace, requestId: RequestId, why: string): Promise<void> {
    await this.#leaveCancellation(place, requestId, { reason: why, ofRequest: true })
  }

  async #leaveCancellation(
    { scope, callId }: CallPlace,
    requestId: RequestId,
    { reason, ...more }: { reason: string; ofRequest?: true },
  ) {
    const requestKey = requestKeyPrefix(requestId)
    const item = {
      kind: 'cancelled',
      requestKey,
      reason: reason.slice(0, MAX_REASON_CHARS),
      ...more,
    } as const
    await this.#leave(scope, callId, item, { ifOpen: callId })
  }

  /** The client's progress on a question goes to whoever asked, if somebody listens now. */
  async #progress(sessionId: string, message: JsonRpcNotification, extra: MessageExtra) {
    const asker = askerOf(message.params?.['progressToken'])
    const json = asker === undefined ? '' : encodeJson(message)
    if (asker === undefined || json.length > MAX_PROGRESS_CHARS) return
    await this.#services.store.publish(sessionId, progressTopic(asker), json)
    // A client decides how much progress it tells of, and how fast.
    if (this.#lookedFor < MOST_LOOKED_FOR) void this.#tellAsker(sessionId, asker, message, extra)
  }

  /** `which`: an inbox takes only what somebody waits for. */
  #leave(
    sessionId: string,
    inbox: string,
    item: InboxItem,
    which: { answers: string; maxBytes: number } | { ifOpen: string },
  ) {
    const options = { nonce: randomId(), maxLength: MAX_INBOX, whenFull: 'refuse', ...which } as const
    return this.#services.store.append(sessionId, `call:${inbox}:in`, encodeInboxItem(item), options)
  }
}
