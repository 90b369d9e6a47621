import { createHash } from 'node:crypto'

/** Stands for a principal of which only the digest is known: of the history of a session that is over, moved here from Redis. */
const DIGEST = '\0sha256:'

export const digestOf = (principal: string) =>
  principal.startsWith(DIGEST)
    ? principal.slice(DIGEST.length)
    : createHash('sha256').update(principal).digest('base64url')

export const principalOfDigest = (digest: string) => DIGEST + digest
