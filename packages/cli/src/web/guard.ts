import type { IncomingMessage } from 'node:http'
import type { Token } from './token.js'

/** Somebody who has typed the address, or a browser that does not say, is `none`. */
const OWN_SITES: ReadonlySet<unknown> = new Set(['same-origin', 'none'])
const FOREIGN = 'This request comes from another page.'
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Who may ask for what. Behind a name that is not of this machine stands a page that was made to look like this one (DNS rebinding). */
export class Guard {
  readonly #token: Token | undefined
  readonly #cookie: string

  constructor(token: Token | undefined) {
    this.#token = token
    // Cookies know no ports: each token has its own, for those of several monitors on one machine.
    this.#cookie = `mcp_durable_monitor_${token?.name}`
  }

  /** Why a request is none of a page of ours; `undefined` if it may be. */
  refusal({ method, headers, url = '' }: IncomingMessage): string | undefined {
    // With a token the cookie is not sent to another name, and a page of that name knows no token.
    if (!this.#token && !LOOPBACK.has(hostnameOf(headers.host)))
      return 'This page is served to this machine only: open it as localhost or 127.0.0.1.'
    // Another site may lead here; it may not have the store looked through.
    if (url.split('?')[0] !== '/' && !OWN_SITES.has(headers['sec-fetch-site'] ?? 'none')) return FOREIGN
    if (method === 'GET' || method === 'HEAD') return undefined
    const { origin = '' } = headers
    if (!URL.canParse(origin) || new URL(origin).host !== headers.host) return FOREIGN
    return undefined
  }

  isKnown({ headers }: IncomingMessage): boolean {
    if (!this.#token) return true
    const cookies = (headers.cookie ?? '').split(';').map((cookie) => cookie.trim())
    const given = cookies.find((cookie) => cookie.startsWith(`${this.#cookie}=`))
    return given !== undefined && this.#token.isProof(given.slice(this.#cookie.length + 1))
  }

  isToken(given: string): boolean {
    return this.#token?.isToken(given) === true
  }

  /** By which a browser is known from now on. */
  setCookie({ headers }: IncomingMessage): string {
    const secure = headers['x-forwarded-proto'] === 'https' ? '; Secure' : ''
    return `${this.#cookie}=${this.#token?.proof}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800${secure}`
  }
}

function hostnameOf(host = ''): string {
  const url = `http://${host}`
  return /^[\w.:[\]-]+$/.test(host) && URL.canParse(url) ? new URL(url).hostname : ''
}

export const isLoopback = (host: string) =>
  host === '::1' || LOOPBACK.has(host) || /^127\.\d+\.\d+\.\d+$/.test(host)
