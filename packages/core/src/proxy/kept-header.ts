import type { AuthInfo } from '../auth-info.js'

/** What is known of a client's header when its request is not at hand any more: the token, if it was to be kept. */
export function keptHeader(name: string, authInfo: unknown): string | undefined {
  const { token } = (authInfo ?? {}) as AuthInfo
  return name === 'authorization' && token !== undefined ? `Bearer ${token}` : undefined
}
