import { digest } from '../ids.js'

/**
 * Who a caller is by its `Authorization`, where nobody has found that out before. Unverified: a principal that is only
 * claimed counts once the server behind this one has vouched for the claim; see `Vouching`.
 */
export type Caller = { principal: string | undefined; claim?: Claim }

/** A token that names its subject. `credential`: its digest. `expiresAt`: by its own word, in ms since 1970. */
export type Claim = { credential: string; expiresAt: number | undefined }

/**
 * The issuer and subject of a bearer token that is a signed JWT, so that a new token of the same person is the same
 * caller. Of anything else the whole header: whoever knows that, is it. Without a header nobody is known.
 */
export function callerOf({ headers }: Request, bySubject = true): Caller {
  const authorization = headers.get('authorization')
  if (!authorization) return { principal: undefined }
  const { iss = null, sub, exp } = claimsOf(authorization)
  const isNamed = typeof sub === 'string' && sub !== '' && (iss === null || typeof iss === 'string')
  const credential = digest(authorization)
  if (!bySubject || !isNamed) return { principal: `authorization:${credential}` }
  const expiresAt = typeof exp === 'number' ? exp * 1000 : undefined
  return { principal: `subject:${digest(JSON.stringify([iss, sub]))}`, claim: { credential, expiresAt } }
}

/** The same token with another signature: whoever checks signatures refuses it. */
export function withAlteredSignature({ url, headers }: Request): Request {
  const altered = new Headers(headers)
  const authorization = headers.get('authorization') ?? ''
  const sign = (signature: string) => (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)
  altered.set('authorization', authorization.replace(/[\w-]+$/, sign))
  return new Request(url, { headers: altered })
}

const SIGNED_JWT = /^bearer +[\w-]+\.([\w-]+)\.[\w-]+$/i

function claimsOf(authorization: string): Record<string, unknown> {
  const [, payload = ''] = SIGNED_JWT.exec(authorization) ?? []
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
