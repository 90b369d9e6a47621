import type { AuthInfo } from '../auth-info.js'
import type { MessageExtra } from '../session/transport.js'

/** What is known of a client's header when its request is not at hand any more: the token, if it was to be kept. */
export function keptHeader(name: string, authInfo: unknown): string | undefined {
  const { token } = (authInfo ?? {}) as AuthInfo
  return name === 'authorization' && token !== undefined ? `Bearer ${token}` : undefined
}

/** A header of the client's request, or what is known of it. */
export const headerOf = (name: string, { request, authInfo }: MessageExtra): string | undefined =>
  request ? (request.headers.get(name) ?? undefined) : keptHeader(name, authInfo)
