import { isRandomId, sessionIdOf } from '../ids.js'
import type { Settings } from '../settings.js'
import { PROTOCOL_VERSIONS } from '../protocol.js'
import type { Exchange } from './exchange.js'
import { refuse } from './replies.js'
import { parseUrl } from '../parse-url.js'

/**
 * What can be said of a request from its headers alone. Each check throws a `Refusal`.
 * (Specification 2025-11-25, "Streamable HTTP: Security Warning", "Protocol Version Header".)
 */
export function guardOrigin(request: Request, { allowedHosts, allowedOrigins }: Settings) {
  const host = request.headers.get('host') ?? new URL(request.url).host
  const origin = request.headers.get('origin')
  if (allowedHosts && !allowedHosts.includes(host.toLowerCase())) {
    throw refuse.forbidden('this Host is not in allowedHosts')
  }
  if (origin === null) return
  if (allowedOrigins) {
    if (!allowedOrigins.includes(origin.toLowerCase()))
      throw refuse.forbidden('this Origin is not in allowedOrigins')
  } else if (!isOwnOrigin(origin, host)) {
    throw refuse.forbidden('this Origin is not in allowedOrigins')
  }
}

export function guardAccept(request: Request, ...types: string[]) {
  const header = request.headers.get('accept') ?? ''
  if (header !== lastAccept.header)
    lastAccept = { header, ranges: header.toLowerCase().split(',').map(mediaRange) }
  const { ranges } = lastAccept
  if (!types.every((type) => accepts(ranges, type))) throw refuse.notAcceptable(types.join(' and '))
}

/** Clients send the same again and again. */
let lastAccept: { header: string; ranges: readonly MediaRange[] } = { header: '', ranges: [] }

type MediaRange = { range: string; isAccepted: boolean }

function mediaRange(part: string): MediaRange {
  const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim())
  return { range, isAccepted: !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter)) }
}

/** The most specific range decides (RFC 9110, section 12.5.1). Of what is accepted, no more than that matters here. */
function accepts(accepted: readonly MediaRange[], type: string) {
  const ranges = [type, `${type.slice(0, type.indexOf('/'))}/*`, '*/*']
  const deciding = ranges.map((range) => accepted.find((one) => one.range === range)).find(Boolean)
  return deciding?.isAccepted === true
}

/** What is not UTF-8 would be read as another text, and nobody would notice. A parser before us has decoded the body. */
export function guardContentType(request: Request, isParsed: boolean) {
  const header = request.headers.get('content-type') ?? ''
  if (header !== lastContentType.header) lastContentType = contentType(header)
  if (!lastContentType.isJson) throw refuse.unsupportedMediaType()
  if (!isParsed && !lastContentType.isUtf8) throw refuse.unsupportedCharset()
}

function contentType(header: string) {
  const isJson = header.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
  const [, charset = 'utf-8'] = CHARSET.exec(header) ?? []
  return { header, isJson, isUtf8: READ_AS_UTF8.test(charset) }
}

let lastContentType = { header: '', isJson: false, isUtf8: true }

const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]*)/i
const READ_AS_UTF8 = /^(utf-?8|us-ascii)$/i

export function guardProtocolVersion({ protocolVersion }: Pick<Exchange, 'protocolVersion'>) {
  if (protocolVersion === null || PROTOCOL_VERSIONS.includes(protocolVersion)) return
  throw refuse.badRequest(`Unsupported protocol version (supported: ${PROTOCOL_VERSIONS.join(', ')})`)
}

/** The session that a request names; from here on inwards nobody knows the header's value. */
export function sessionOf({ mcpSessionId }: Pick<Exchange, 'mcpSessionId'>): string {
  if (!mcpSessionId) throw refuse.badRequest('Mcp-Session-Id header is required')
  if (!isRandomId(mcpSessionId)) throw refuse.sessionNotFound()
  return sessionIdOf(mcpSessionId)
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
