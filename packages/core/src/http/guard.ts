import type { Settings } from '../settings.js'
import { PROTOCOL_VERSIONS } from '../session/state.js'
import { refuse } from './replies.js'

/**
 * What can be said of a request from its headers alone. Each check throws a `Refusal`.
 * (Specification 2025-11-25, "Streamable HTTP: Security Warning", "Protocol Version Header".)
 */
export function guardOrigin(request: Request, { allowedHosts, allowedOrigins }: Settings) {
  const host = request.headers.get('host') ?? new URL(request.url).host
  const origin = request.headers.get('origin')
  if (allowedHosts && !allowedHosts.includes(host)) {
    throw refuse.forbidden('this Host is not in allowedHosts')
  }
  if (origin === null) return
  if (allowedOrigins) {
    if (!allowedOrigins.includes(origin)) throw refuse.forbidden('this Origin is not in allowedOrigins')
  } else if (!isOwnOrigin(origin, host)) {
    throw refuse.forbidden('this Origin is not in allowedOrigins')
  }
}

export function guardAccept(request: Request, ...types: string[]) {
  const accept = request.headers.get('accept') ?? ''
  const accepted = accept.split(',').map((part) => part.split(';', 1)[0]?.trim().toLowerCase())
  if (accepted.includes('*/*')) return
  if (!types.every((type) => accepted.includes(type))) throw refuse.notAcceptable(types.join(' and '))
}

export function guardContentType(request: Request) {
  const type = request.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw refuse.unsupportedMediaType()
}

export function guardProtocolVersion(request: Request) {
  const version = request.headers.get('mcp-protocol-version')
  if (version === null || PROTOCOL_VERSIONS.includes(version)) return
  throw refuse.badRequest(`Unsupported protocol version (supported: ${PROTOCOL_VERSIONS.join(', ')})`)
}

export function sessionIdOf(request: Request): string {
  const sessionId = request.headers.get('mcp-session-id')
  if (!sessionId) throw refuse.badRequest('Mcp-Session-Id header is required')
  // Only ids of our own making reach the store, so that no header can become part of a strange key.
  if (!/^[\w-]{22}$/.test(sessionId)) throw refuse.sessionNotFound()
  return sessionId
}

/**
 * Without a list, a browser may come from a page on loopback to loopback, or over HTTPS from a page of
 * this very host. A name that was rebound to this address is neither: its page is not on loopback, and
 * no certificate makes it HTTPS.
 */
function isOwnOrigin(origin: string, host: string) {
  const page = parseUrl(origin)
  const here = parseUrl(`http://${host}`)
  if (!page || !here) return false
  if (isLoopback(page.hostname) && isLoopback(here.hostname)) return true
  return page.protocol === 'https:' && page.host === host
}

function isLoopback(hostname: string) {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function parseUrl(text: string) {
  return URL.canParse(text) ? new URL(text) : undefined
}
