import { parseUrl } from './parse-url.js'

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/
/** `http:` and `https:` aside, as of browser extensions and of applications with a page of their own. */
const OTHER_ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@*\s]+$/

/** As a `Host` header comes, in lower case; `undefined`: none ever comes like this. */
export function hostEntry(entry: string): string | undefined {
  const host = entry.toLowerCase()
  return HOST.test(host) ? host : undefined
}

/** As browsers send the `Origin` of a page; `undefined`: none ever comes like this. */
export function originEntry(entry: string): string | undefined {
  const origin = entry.toLowerCase()
  if (origin === 'null') return origin
  if (!OTHER_ORIGIN.test(origin)) return undefined
  if (!/^https?:/.test(origin)) return origin
  // A default port is never sent, and other alphabets as punycode.
  return parseUrl(origin)?.origin
}
