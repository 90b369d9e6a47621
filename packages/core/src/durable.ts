import { identifying, proxyServers } from './behind-http.js'
import { Calls } from './call/calls.js'
import type { Claimed } from './call/claims.js'
import { Membership } from './call/membership.js'
import { Quotas } from './call/quotas.js'
import { OlderNodes } from './call/older-nodes.js'
import { Takeovers } from './call/takeovers.js'
import { Versions } from './call/versions.js'
import { Backlog } from './call/waiting-records.js'
import { checkMs } from './check-ms.js'
import { checkOptions } from './check-options.js'
import type { FetchOptions, HttpServices } from './http/exchange.js'
import { handle } from './http/handler.js'
import { forgiveStoppedRejections } from './context/stopped-rejections.js'
import { parseHistory } from './history-options.js'
import { healthOf } from './health.js'
import type { Health, HealthOptions } from './health.js'
import { AskedViews } from './http/sessionless/asked-views.js'
import { needsItsClient, readAsked } from './http/sessionless/asked.js'
import { callerTasks } from './http/sessionless/caller-tasks.js'
import { Departures } from './http/sessionless/departures.js'
import { RequestStates } from './session/request-states.js'
import { LimitLog } from './http/limit-log.js'
import { ServedEras } from './http/served-eras.js'
import { refuse } from './http/replies.js'
import { Streams } from './http/streams.js'
import type { ProxyServers } from './proxy/proxy-servers.js'
import { checkNotification, ErrorCode, errorResponse } from './json-rpc.js'
import { sessionIdOf } from './ids.js'
import { checkGiven, checkNames } from './known-options.js'
import { consoleLogger, unfailing } from './logger.js'
import type { Logger } from './logger.js'
import type { DurableOptions } from './options.js'
import { SESSIONLESS } from './protocol.js'
import { parseSettings } from './settings.js'
import type { Settings } from './settings.js'
import type { Holdings } from './signals/telemetry.js'
import { changeIn } from './session/changes.js'
import type { Changed } from './session/changes.js'
import { ClaimedCalls } from './session/claimed-calls.js'
import { ServerNames } from './session/server-names.js'
import { Sessions } from './session/sessions.js'
import { sealedFor, sealKeysOf } from './seal/sealed-store.js'
import { signalsFor } from './signals/signals.js'
import type { Signals } from './signals/signals.js'
import { memoryStore } from './store/memory.js'
import { whileStoreFails } from './store/retry.js'
import { shareStore } from './store-sharing.js'
import type { Store } from './store/store.js'
import { Watcher } from './store/watcher.js'
import { sleepFor } from './timers.js'

export type Notification = { method: string; params?: { [key: string]: unknown } }

/** A mounted durable MCP server: one node. */
export interface Durable {
  /** Serves one HTTP request of the MCP endpoint. Never rejects; failures are answers. */
  fetch(request: Request, options?: FetchOptions): Promise<Response>
  /**
   * Sends a notification on a session's standalone stream, or keeps it for the next one: the newest `maxStandaloneEvents` of up
   * to `maxStandaloneBytes`. Resolves when it is stored. `sessionId`: as handlers and hooks are told it; or the client's
   * `Mcp-Session-Id`, which is asked for under that name first, and costs a round trip more than `sessionIdOf` it. `false`: no such
   * session. Rejects with an `UnrecordableError`, or with a `StoreError` if the store is away for 10 s.
   */
  notify(sessionId: string, notification: Notification): Promise<boolean>
  /**
   * Notifies every session of this server, as `notify` does each, and of changes those who listen without one; resolves to how many
   * sessions there were. With an `UnrecordableError`
   * none was notified; with a `StoreError` some may have been.
   */
  broadcast(notification: Notification): Promise<number>
  /** Tells clients without sessions (2026-07-28) that listen what has changed, whichever node they listen on; see `Changed`. */
  readonly changed: Changed
  /** How this node is, for a health check: it asks the store, and never rejects. */
  health(options?: HealthOptions): Promise<Health>
  /**
   * Takes no more calls, and lets go of those that it has: what sleeps or waits is parked, the rest has `graceMs` (default: as long as it
   * takes) and is then handed to the other nodes. A request that would begin a call gets 503; open streams, resumes, polls of tasks and
   * requests that only read are served on. An answer that a client brings is still taken, and its call run. Resolves when
   * this node has no call; `close()` it after that. Not without a `store`: there is nobody to hand them to.
   */
  drain(options?: { graceMs?: number }): Promise<void>
  /**
   * Leaves: answers requests with 503, gives running calls `graceMs` (default 10 s; `Infinity`: as long as they take), then hands the
   * rest over to the other nodes (without a `store` they end with an error), ends every stream, and closes the store unless
   * another `durable()` here uses it. The client of Redis stays open: close it after this. Clients resume on another node.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const MIN_TICK_MS = 50
/** Longer than clients wait before they come back, and try once more, unless `retryMs` is longer than it is by default. */
const CANCEL_AFTER_MS = 5000
const GONE = 'The client has closed the stream.'
/** Intervals of Node.js have no longer time. */
const MAX_TICK_MS = 2 ** 31 - 1

/** Makes an MCP server durable. See `DurableOptions` for what can be set. */
export function durable(given: DurableOptions): Durable {
  const options = checkOptions(given)
  forgiveStoppedRejections()
  return new Node(options, parseSettings(options))
}

class Node implements Durable {
  readonly #services: HttpServices
  readonly #timers: NodeJS.Timeout[]
  #handling = 0
  #wasAlone = false
  #busy = false
  #onHandled: () => void = () => undefined
  readonly #membership: Membership
  readonly #takeovers: Takeovers
  readonly #handsOver: boolean
  readonly #onlyWorks: boolean
  readonly #proxy: ProxyServers | undefined
  readonly #left = new AbortController()
  readonly #signals: Signals
  readonly #unobserve: (() => void) | undefined
  readonly #closeStore: () => Promise<void>
  readonly #watcher: Watcher
  #closing: Promise<void> | undefined
  #draining: Promise<void> | undefined
  #closed = false

  constructor(options: DurableOptions, settings: Settings) {
    const logger = unfailing(options.logger ?? consoleLogger)
    const signals = signalsFor({ on: options.on, telemetry: options.telemetry, logger })
    this.#signals = signals
    const given = options.store ?? memoryStore()
    const history = parseHistory(options.history)
    const { name, server, handler, upstream, stdio } = options
    const sharing = { name, server, handler, upstream, stdio, keeping: history?.keeping }
    const { store: own, isShared, close: closeStore } = shareStore(given, sharing, logger)
    const store = sealedFor(options.seal, own, signals.store?.(own) ?? own)
    this.#closeStore = closeStore
    if (!options.store) {
      logger.warn(
        {},
        'no store given: sessions, streams and calls live in this process only and do not survive it',
      )
    }
    const watcher = new Watcher(store, logger)
    this.#watcher = watcher
    const { maxRecordBytes, resumeWindowMs } = settings
    const { heartbeatMs, leaseMs, sweepMs } = settings
    const proxy = proxyServers(options, settings, { store, watcher, logger, signals })
    this.#proxy = proxy
    const onDoubt = () => void this.#services.calls.lost.abandon()
    const membership = new Membership(store, { heartbeatMs, leaseMs, sweepMs }, logger, onDoubt, {
      history: history?.keeping,
      quotas: options.quotas,
      role: options.role,
      version: options.version,
      sealKeys: sealKeysOf(options.seal ? store : own),
    })
    const versions = new Versions(options)
    const onClaimed = (claimed: Claimed) => claimedCalls.run(claimed)
    const takeovers = new Takeovers(store, membership, logger, onClaimed)
    this.#membership = membership
    this.#takeovers = takeovers
    const streams = new Streams(store, watcher, settings, signals)
    const calls = new Calls(
      {
        store,
        watcher,
        resumeWindowMs,
        inputTtlMs: settings.inputTtlMs,
        divergesAfterMs: settings.divergesAfterMs,
        maxRecordBytes,
        version: options.version,
        backlog: new Backlog(),
      },
      { membership, takeovers, quotas: new Quotas(store, membership, takeovers.queuedCalls, options.quotas) },
      settings,
      (claimed) => void onClaimed(claimed),
    )
    const isBusy = () => this.#busy
    const requestStates = new RequestStates(options.requestStateKeys ?? [], settings.inputTtlMs)
    const sessions = new Sessions({
      store,
      watcher,
      calls,
      logger,
      settings,
      signals,
      server: options.server ?? ((session) => proxy!.make(session)),
      proxy,
      requestStates,
      recover: options.recover,
      fitsCode: ({ call, runs, claimed }) => {
        const unservedMs = runs.unservedMs(claimed.first)
        const version = runs.isBegun ? runs.version : undefined
        const nodes = () => call.whileStoreFails(() => membership.nodes())
        return versions.judge({ version, unservedMs }, nodes, leaseMs)
      },
      // Of a client that names its application and nobody else there may be many users.
      tasks: callerTasks(() => this.#services),
      taskModes: options.tasks ?? 'never',
      callerOf: (principal, authInfo) => ({
        principal,
        isUser: options.principal !== undefined || authInfo === undefined,
      }),
      names: new ServerNames({
        isUsed: isShared,
        proxy,
        onServer: (serverName) => membership.serves(serverName),
        logger,
      }),
      closeStreams: (sessionId, log) => streams.close(sessionId, log),
    })
    const claimedCalls = new ClaimedCalls({
      calls,
      takeovers,
      recover: (taken) => sessions.runner.recover(taken),
      logger,
      signals,
      leaving: this.#left,
    })
    this.#handsOver = options.store !== undefined
    this.#onlyWorks = options.role === 'work'
    this.#services = {
      store,
      watcher,
      askedViews: new AskedViews(store),
      sessions,
      calls,
      streams,
      settings,
      logger,
      limitLog: new LimitLog(logger),
      signals,
      isBusy,
      eras: new ServedEras(options.eras, new OlderNodes(membership, logger)),
      requestStates,
      tasks: options.tasks ?? 'never',
      departures: new Departures(
        {
          store,
          watcher,
          logger,
          retryMs: settings.retryMs,
          mayStay: async (place) => !needsItsClient(await readAsked(store, place)),
          cancel: (place, requestId, isGone) =>
            calls.leaveFor(place, 'all', async () => {
              if (await isGone()) await sessions.clientMessages.cancelRequest(place, requestId, GONE)
            }),
        },
        options.onDisconnect ?? { cancelAfterMs: Math.max(CANCEL_AFTER_MS, 2 * settings.retryMs + 1000) },
      ),
      ...identifying(options, { store, proxy, logger }),
      keepToken: options.keepToken ?? false,
      keepUrl: options.handler !== undefined,
      isProxy: proxy !== undefined,
      isLast: options.store === undefined,
      recorded: history?.methods ?? NONE,
    }
    this.#timers = [
      every(settings.keepAliveMs / 4, () => this.#services.streams.tick()),
      every(settings.serverIdleMs / 4, () => this.#letGo()),
      every(settings.reconcileEveryMs, () => watcher.reconcile()),
      every(settings.reconcileEveryMs, () => this.#services.calls.lost.reconcile()),
      every(settings.sessionTtlMs / 4, () => this.#keepAlive()),
    ]
    membership.start()
    takeovers.start()
    this.#unobserve = options.telemetry?.observe(() => this.#holdings())
    void this.#warnOfRisks(store, logger)
  }

  async fetch(request: Request, options: FetchOptions = {}): Promise<Response> {
    if (this.#closing) {
      const leaving = refuse.unavailable('this node is shutting down. Try again.').toResponse()
      leaving.headers.set('connection', 'close')
      return leaving
    }
    if (this.#onlyWorks) return refuse.unavailable(ONLY_WORKS).toResponse()
    this.#handling++
    const isAlone = this.#handling === 1
    // The first of many comes alone as well.
    this.#busy = !isAlone || !this.#wasAlone
    this.#wasAlone = isAlone
    try {
      return await (this.#signals.request
        ? this.#handleObserved(request, options)
        : handle(this.#services, request, options))
    } finally {
      this.#handling--
      if (this.#handling === 0) this.#onHandled()
    }
  }

  async notify(sessionId: string, notification: Notification) {
    checkGiven(
      typeof sessionId === 'string',
      'notify() takes the id of a session, and what to tell',
      sessionId,
    )
    checkNotification('notify()', notification)
    const { standalone } = this.#services.sessions
    const message = { jsonrpc: '2.0', ...notification } as const
    return (
      (await standalone.notify(sessionId, message)) ||
      (await standalone.notify(sessionIdOf(sessionId), message))
    )
  }

  get changed() {
    return this.#services.sessions.changes.changed
  }

  async broadcast(notification: Notification) {
    checkNotification('broadcast()', notification)
    const { sessions, eras } = this.#services
    const message = { jsonrpc: '2.0', ...notification } as const
    const notified = await sessions.broadcast(message)
    const change = changeIn(message)
    if (change && eras.all.has(SESSIONLESS)) await sessions.changes.publish(change)
    return notified
  }

  health(options: HealthOptions = {}) {
    const isLeaving = this.#closing !== undefined || this.#draining !== undefined
    const closing = { leaving: isLeaving, closed: this.#closed }
    return healthOf(this.#membership, closing, options)
  }

  async drain(options: { graceMs?: number } = {}) {
    checkNames('drain()', options, ['graceMs'])
    const { graceMs = Number.POSITIVE_INFINITY } = options
    checkMs('drain(): `graceMs`', graceMs)
    if (!this.#handsOver) throw new TypeError('drain(): without a `store` there is nobody to hand calls to.')
    this.#draining ??= this.#drain(graceMs)
    await this.#draining
  }

  async #drain(graceMs: number) {
    const { calls } = this.#services
    this.#membership.drain()
    calls.parkSoon()
    this.#takeovers.diverged.letGo({ atOnce: true })
    await settledWithin(calls.allEnded(), graceMs)
    const givenBack = [...calls.owned].map(async (call) => {
      call.abandon('This node is drained, and another one goes on with it.')
      await this.#takeovers.giveBack({ scope: call.scope, callId: call.id }, { wasTried: true })
    })
    // What can't be given back now is taken over when this node has left.
    await Promise.allSettled(givenBack)
  }

  async close(options: { graceMs?: number } = {}) {
    checkNames('close()', options, ['graceMs'])
    const { graceMs = 10_000 } = options
    checkMs('close(): `graceMs`', graceMs)
    this.#closing ??= this.#leave(graceMs).finally(() => (this.#closed = true))
    await this.#closing
  }

  async #leave(graceMs: number) {
    const { calls, streams, sessions, logger } = this.#services
    this.#takeovers.endWaking()
    if (this.#handsOver) {
      calls.parkSoon()
      this.#takeovers.diverged.letGo()
    }
    const quiet = this.#allHandled().then(() => calls.allEnded())
    await settledWithin(quiet, graceMs)
    this.#left.abort()
    calls.close()
    if (!this.#handsOver) await this.#endCalls()
    for (const call of calls.owned) call.abandon('This node is shutting down.')
    this.#services.departures.close()
    await streams.closeAll()
    await Promise.all([sessions.servers.close(), sessions.shared.close()])
    for (const timer of this.#timers) clearInterval(timer)
    // If the store is away, the others find this node gone a little later.
    await this.#membership.leave().catch((error: unknown) => logger.warn({ error }, 'leaving took no effect'))
    await this.#proxy?.close()
    this.#unobserve?.()
    this.#watcher.close()
    await this.#closeStore()
  }

  async #allHandled() {
    while (this.#handling > 0) await new Promise<void>((resolve) => (this.#onHandled = resolve))
  }

  /** Once, when the store is there. What can't be found out is no reason not to serve. */
  async #warnOfRisks(store: Store, logger: Logger) {
    const look = () => (this.#left.signal.aborted ? Promise.resolve([]) : store.findRisks())
    const risks = await whileStoreFails(look, this.#left, 0).catch(() => [])
    for (const risk of risks) logger.warn({}, risk)
  }

  /** Nobody shares the store of this process: its calls end with it. */
  async #endCalls() {
    const ended = [...this.#services.calls.owned].map((call) =>
      call.end(({ id }) => errorResponse(id, ErrorCode.internalError, SHUT_DOWN)),
    )
    await Promise.allSettled(ended)
  }

  #handleObserved(request: Request, options: FetchOptions) {
    return this.#signals.request!(request, () => handle(this.#services, request, options))
  }

  #holdings(): Holdings {
    const { calls, streams, sessions } = this.#services
    return {
      openCalls: calls.owned.size,
      streams: streams.size,
      sessions: this.#membership.heldScopes,
      servers: sessions.servers.size + sessions.shared.size,
    }
  }

  #letGo() {
    const { calls, sessions, settings } = this.#services
    // Without a store there is nobody to hand them to, and each has to end with this node.
    if (this.#handsOver) calls.parkIdle(settings.serverIdleMs)
    sessions.servers.evictIdle()
    sessions.shared.evictIdle()
    const running = new Set([...calls.owned].map(({ scope }) => scope))
    const returned = this.#takeovers.returnedScopes
    this.#membership.releaseUnused(
      (scope) => running.has(scope) || returned.has(scope) || sessions.servers.peek(scope) !== undefined,
    )
  }

  /** Sessions in use on this node stay alive, however long a call or a stream is. */
  #keepAlive() {
    const { streams, calls, store, settings } = this.#services
    const inUse = new Map([...streams.sessions()].map((sessionId) => [sessionId, [] as string[]]))
    for (const { scope, id } of calls.owned)
      if (!this.#takeovers.diverged.has(id)) inUse.set(scope, [...(inUse.get(scope) ?? []), id])
    for (const [sessionId, callIds] of inUse) {
      store.keepAlive(sessionId, callIds, settings.sessionTtlMs).catch(() => undefined)
    }
  }
}

const NONE: ReadonlySet<string> = new Set()

const ONLY_WORKS = 'this node serves no requests, but only runs calls. Send it to one that does.'
const SHUT_DOWN = 'The server was shut down while it ran the call. What the call had done so far is unknown.'

async function settledWithin(work: Promise<unknown>, ms: number) {
  const settled = new AbortController()
  void work.finally(() => settled.abort())
  await sleepFor(ms, { signal: settled.signal })
}

function every(ms: number, action: () => void) {
  return setInterval(action, Math.min(Math.max(ms, MIN_TICK_MS), MAX_TICK_MS)).unref()
}
