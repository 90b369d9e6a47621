import type { RedisOptions } from 'ioredis'
import { usageError } from '../errors.js'

export type Host = { host: string; port: number }
/** Where Redis is. More than one host: start-up nodes of a Cluster, or sentinels. */
export type Target = {
  hosts: [Host, ...Host[]]
  options: Pick<RedisOptions, 'username' | 'password' | 'db' | 'tls'>
  /** Name of the master, when the hosts are sentinels. */
  master: string | undefined
}

export const DEFAULT_URL = 'redis://127.0.0.1:6379'
const SCHEME = /^(rediss?|redis\+sentinel|sentinel|redis\+cluster|cluster):\/\//

/**
 * `redis[s]://[user:password@]host[:port][/db]`; several hosts with commas between them for a Cluster; and
 * `redis+sentinel://host:port,host:port/master[/db]`.
 */
export function parseTarget(text: string): Target {
  const scheme = SCHEME.exec(text)?.[1]
  if (scheme === undefined) throw wrong()
  const sentinel = scheme.includes('sentinel')
  const parts = text.slice(scheme.length + 3).split(',')
  const urls = parts.map((part) => part.replace(SCHEME, '')).map((part) => toUrl(part))
  const [first, ...more] = urls.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1',
    port: port === '' ? (sentinel ? 26_379 : 6379) : Number(port),
  }))
  const authority = urls[0]
  const path = (urls.at(-1)?.pathname ?? '').split('/').slice(1).filter(Boolean)
  if (!first || !authority) throw wrong()
  const db = sentinel ? path[1] : path[0]
  if (db !== undefined && !/^\d+$/.test(db)) throw wrong()
  return {
    hosts: [first, ...more],
    options: {
      ...(authority.username !== '' && { username: decodeURIComponent(authority.username) }),
      ...(authority.password !== '' && { password: decodeURIComponent(authority.password) }),
      ...(db !== undefined && { db: Number(db) }),
      ...(scheme === 'rediss' && { tls: {} }),
    },
    master: sentinel ? path[0] : undefined,
  }
}

export const hostsOf = ({ hosts }: Target) => hosts.map(({ host, port }) => `${host}:${port}`).join(', ')

/** The same, and which of those that are there. */
export const addressOf = (target: Target) =>
  [hostsOf(target), target.master, target.options.db || undefined]
    .filter((part) => part !== undefined)
    .join('/')

function toUrl(text: string): URL {
  const url = `http://${text}`
  if (!URL.canParse(url)) throw wrong()
  return new URL(url)
}

/** The text itself is not repeated: it may hold a password. */
function wrong() {
  return usageError(
    'the address of Redis must look like redis://HOST:PORT[/DB], redis://HOST:PORT,HOST:PORT for a Cluster, or ' +
      'redis+sentinel://HOST:PORT/MASTER.',
  )
}
