import type { HttpServices } from './http/exchange.js'
import { identifyBy, identifyByHeader } from './http/principal.js'
import type { Logger } from './logger.js'
import type { DurableOptions } from './options.js'
import { LocalBackend } from './proxy/local-backend.js'
import { ProxyServers } from './proxy/proxy-servers.js'
import { PASSED_HEADERS, UpstreamBackend } from './proxy/upstream-backend.js'
import { StdioBackend } from './proxy/stdio/stdio-backend.js'
import { Vouching } from './proxy/vouching.js'
import { StandaloneMessages } from './session/standalone.js'
import type { Settings } from './settings.js'
import type { Signals } from './signals/signals.js'
import type { Store } from './store/store.js'
import type { Watcher } from './store/watcher.js'

// What options say of a server behind HTTP: docs/architecture.md, "A server behind HTTP".

/** Undefined where server objects are made by the application. */
export function proxyServers(
  { handler, upstream, stdio, passHeaders }: DurableOptions,
  settings: Settings,
  { signals, watcher, ...others }: { store: Store; watcher: Watcher; logger: Logger; signals: Signals },
): ProxyServers | undefined {
  const { upstreamGraceMs, maxAttempts, maxAnswerBytes: maxBytes } = settings
  const messages = new StandaloneMessages(others.store, watcher, settings)
  const services = { ...others, standalone: (sessionId: string) => messages.of(sessionId) }
  if (handler) {
    const backend = new LocalBackend(handler, services.logger)
    return new ProxyServers({ ...services, backend, graceMs: 0, maxRuns: 1, maxBytes })
  }
  if (stdio) {
    const backend = new StdioBackend({ server: stdio, maxBytes, logger: services.logger })
    return new ProxyServers({ ...services, backend, graceMs: 0, maxRuns: maxAttempts, maxBytes })
  }
  if (upstream === undefined) return undefined
  const backend = new UpstreamBackend(upstream, passHeaders ?? PASSED_HEADERS, signals.trace)
  return new ProxyServers({ ...services, backend, graceMs: upstreamGraceMs, maxRuns: maxAttempts, maxBytes })
}

/** A server behind this one may check tokens itself: then its callers are told apart by what they send it. */
export function identifying(
  options: DurableOptions,
  { store, proxy, logger }: { store: Store; proxy: ProxyServers | undefined; logger: Logger },
): Pick<HttpServices, 'identify' | 'vouching'> {
  const { principal, handler, upstream, passHeaders = PASSED_HEADERS } = options
  if (principal || !proxy) return { identify: identifyBy(principal, logger), vouching: undefined }
  // Where the server does not get the token, it can't vouch for it.
  const getsToken =
    handler !== undefined ||
    (upstream !== undefined && passHeaders.some((name) => name.toLowerCase() === 'authorization'))
  const tryCaller: ProxyServers['tryCaller'] = (initialize, request) => proxy.tryCaller(initialize, request)
  return {
    identify: identifyByHeader(getsToken, logger),
    vouching: getsToken
      ? new Vouching({ store, tryCaller, tryAlone: (request) => proxy.tryAlone(request), logger })
      : undefined,
  }
}
