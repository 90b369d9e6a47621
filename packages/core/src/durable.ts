import { Calls } from './call/calls.js'
import type { Claimed } from './call/claims.js'
import { Membership } from './call/membership.js'
import { Takeovers } from './call/takeovers.js'
import { Backlog } from './call/waiting-records.js'
import { checkOptions } from './check-options.js'
import type { FetchOptions, HttpServices } from './http/exchange.js'
import { handle } from './http/handler.js'
import { forgiveStoppedRejections } from './context/stopped-rejections.js'
import { parseHistory } from './history-options.js'
import { healthOf } from './health.js'
import type { Health, HealthOptions } from './health.js'
import { isAsking, readAsked } from './http/sessionless/asked.js'
import { Departures } from './http/sessionless/departures.js'
import { LimitLog } from './http/limit-log.js'
import { identifyBy, identifyByHeader } from './http/principal.js'
import { refuse } from './http/replies.js'
import { Streams } from './http/streams.js'
import { ProxyServers } from './proxy/proxy-servers.js'
import { LocalBackend } from './proxy/local-backend.js'
import { PASSED_HEADERS, UpstreamBackend } from './proxy/upstream-backend.js'
import { Vouching } from './proxy/vouching.js'
import { ErrorCode, errorResponse } from './json-rpc.js'
import { sessionIdOf } from './ids.js'
import { consoleLogger } from './logger.js'
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
   * to `maxStandaloneBytes`. Resolves when it is stored. `sessionId`:
   * as handlers and hooks are told it, or the client's `Mcp-Session-Id`. `false`: no such session. Rejects with an
   * `UnrecordableError`, or with a `StoreError` if the store is away for 10 s.
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
   * Leaves: answers requests with 503, gives running calls `graceMs` (default 10 s; `Infinity`: as long as they take), then hands the
   * rest over to the other nodes (without a `store` they end with an error), ends every stream, and closes the store unless
   * another `durable()` here uses it. The client of Redis stays open: close it after this. Clients resume on another node.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const MIN_TICK_MS = 50
/** Longer than clients wait before they come back, and try once more. */
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
  readonly #proxy: ProxyServers | undefined
  readonly #left = new AbortController()
  readonly #signals: Signals
  readonly #unobserve: (() => void) | undefined
  readonly #closeStore: () => Promise<void>
  readonly #watcher: Watcher
  #closing: Promise<void> | undefined
  #closed = false

  constructor(options: DurableOptions, settings: Settings) {
    const logger = options.logger ?? consoleLogger
    const signals = signalsFor({ on: options.on, telemetry: options.telemetry, logger })
    this.#signals = signals
    const given = options.store ?? memoryStore()
    const history = parseHistory(options.history)
    const { name, server, handler, upstream } = options
    const sharing = { name, server, handler, upstream, keeping: history?.keeping }
    const { store: own, isShared, close: closeStore } = shareStore(given, sharing, logger)
    const store = signals.store?.(own) ?? own
    this.#closeStore = closeStore
    if (!options.store) {
      logger.warn(
        {},
        'no store given: sessions, streams and calls live in this process only and do not survive it',
      )
    }
    const watcher = new Watcher(store)
    this.#watcher = watcher
    const { sessionTtlMs, maxOpenCalls, maxOpenBytes, maxAttempts, maxRecordBytes, resumeWindowMs } = settings
    const { heartbeatMs, leaseMs, sweepMs } = settings
    const proxy = proxyServers(options, settings, { store, logger, signals })
    this.#proxy = proxy
    const onDoubt = () => void this.#services.calls.abandonTaken()
    const membership = new Membership(store, { heartbeatMs, leaseMs, sweepMs }, logger, onDoubt)
    const onClaimed = (claimed: Claimed) => void claimedCalls.run(claimed)
    const takeovers = new Takeovers(store, membership, logger, onClaimed)
    this.#membership = membership
    this.#takeovers = takeovers
    const streams = new Streams(store, watcher, settings, signals)
    const limits = { sessionTtlMs, maxOpenCalls, maxOpenBytes, maxAttempts }
    const calls = new Calls(
      {
        store,
        watcher,
        resumeWindowMs,
        inputTtlMs: settings.inputTtlMs,
        maxRecordBytes,
        backlog: new Backlog(),
      },
      { membership, takeovers },
      limits,
      onClaimed,
    )
    const isBusy = () => this.#busy
    const sessions = new Sessions({
      store,
      watcher,
      calls,
      logger,
      settings,
      signals,
      server: options.server ?? ((session) => proxy!.make(session)),
      proxy,
      recover: options.recover,
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
    this.#services = {
      store,
      sessions,
      calls,
      streams,
      settings,
      logger,
      limitLog: new LimitLog(logger),
      signals,
      isBusy,
      eras: new Set(options.eras ?? ['2025-11-25']),
      departures: new Departures(
        {
          store,
          watcher,
          logger,
          isAsking: async (place) => isAsking(await readAsked(store, place)),
          cancel: (place, requestId) => sessions.clientMessages.cancelCall(place, requestId, GONE),
        },
        options.onDisconnect ?? { cancelAfterMs: CANCEL_AFTER_MS },
      ),
      ...identifying(options, { store, proxy, logger }),
      keepToken: options.keepToken ?? false,
      keepUrl: options.handler !== undefined,
      recorded: history?.methods ?? NONE,
    }
    this.#timers = [
      every(settings.keepAliveMs / 4, () => this.#services.streams.tick()),
      every(settings.serverIdleMs / 4, () => this.#letGo()),
      every(settings.reconcileEveryMs, () => watcher.reconcile()),
      every(sessionTtlMs / 4, () => this.#keepAlive()),
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
    const { sessions, eras } = this.#services
    const message = { jsonrpc: '2.0', ...notification } as const
    const notified = await sessions.broadcast(message)
    const change = changeIn(message)
    if (change && eras.has(SESSIONLESS)) await sessions.changes.publish(change)
    return notified
  }

  health(options: HealthOptions = {}) {
    const closing = { leaving: this.#closing !== undefined, closed: this.#closed }
    return healthOf(this.#membership, closing, options)
  }

  async close({ graceMs = 10_000 } = {}) {
    if (!(graceMs >= 0)) throw new TypeError('close(): `graceMs` is a number of milliseconds, not negative.')
    this.#closing ??= this.#leave(graceMs).finally(() => (this.#closed = true))
    await this.#closing
  }

  async #leave(graceMs: number) {
    const { calls, streams, sessions, logger } = this.#services
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
    this.#proxy?.close()
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
    const { calls, sessions } = this.#services
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
    for (const { scope, id } of calls.owned) inUse.set(scope, [...(inUse.get(scope) ?? []), id])
    for (const [sessionId, callIds] of inUse) {
      store.keepAlive(sessionId, callIds, settings.sessionTtlMs).catch(() => undefined)
    }
  }
}

const NONE: ReadonlySet<string> = new Set()

/** Undefined where server objects are made by the application. */
function proxyServers(
  { handler, upstream, passHeaders }: DurableOptions,
  { upstreamGraceMs, maxAttempts, maxAnswerBytes: maxBytes }: Settings,
  { signals, ...services }: { store: Store; logger: Logger; signals: Signals },
): ProxyServers | undefined {
  if (handler) {
    const backend = new LocalBackend(handler, services.logger)
    return new ProxyServers({ ...services, backend, graceMs: 0, maxRuns: 1, maxBytes })
  }
  if (upstream === undefined) return undefined
  const backend = new UpstreamBackend(upstream, passHeaders ?? PASSED_HEADERS, signals.trace)
  return new ProxyServers({ ...services, backend, graceMs: upstreamGraceMs, maxRuns: maxAttempts, maxBytes })
}

/** A server behind this one may check tokens itself: then its callers are told apart by what they send it. */
function identifying(
  options: DurableOptions,
  { store, proxy, logger }: { store: Store; proxy: ProxyServers | undefined; logger: Logger },
): Pick<HttpServices, 'identify' | 'vouching'> {
  const { principal, handler, passHeaders = PASSED_HEADERS } = options
  if (principal || !proxy) return { identify: identifyBy(principal, logger), vouching: undefined }
  // Where the server does not get the token, it can't vouch for it.
  const getsToken =
    handler !== undefined || passHeaders.some((name) => name.toLowerCase() === 'authorization')
  const tryCaller: ProxyServers['tryCaller'] = (initialize, request) => proxy.tryCaller(initialize, request)
  return {
    identify: identifyByHeader(getsToken, logger),
    vouching: getsToken ? new Vouching({ store, tryCaller, logger }) : undefined,
  }
}

const SHUT_DOWN = 'The server was shut down while it ran the call. What the call had done so far is unknown.'

async function settledWithin(work: Promise<unknown>, ms: number) {
  const settled = new AbortController()
  void work.finally(() => settled.abort())
  await sleepFor(ms, { signal: settled.signal })
}

function every(ms: number, action: () => void) {
  return setInterval(action, Math.min(Math.max(ms, MIN_TICK_MS), MAX_TICK_MS)).unref()
}
