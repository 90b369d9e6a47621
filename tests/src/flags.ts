import { parseArgs } from 'node:util'
import { isCrashPoint, type CrashPoint } from './crashing-store.js'

export const hosts = ['server', 'handler', 'upstream', 'stdio'] as const
export type Host = (typeof hosts)[number]

export interface Flags {
  port: number
  redis: string | undefined
  /** Start-up nodes of a Redis Cluster. */
  cluster: string[]
  /** What all keys begin with. */
  prefix: string
  /** Which major of the SDK the server objects are of. */
  sdk: 1 | 2
  /** What `durable()` is given. */
  host: Host
  /** Where the server is that the nodes stand before; for the host `upstream`. */
  upstream: string
  /** Speak HTTPS, with a certificate that nobody has signed; for the server behind the nodes. */
  tls: boolean
  /** Give events no ids; for the server behind the nodes. */
  noEvents: boolean
  /** What is wrapped, or behind the nodes, needs no sessions, and serves none. */
  sessionless: boolean
  /** Where the nodes of one test keep their ledger and find their gates. */
  dir: string
  crashAt: CrashPoint | undefined
  graceMs: number
  /** Options of `durable()`, beside `server` and `store`. */
  options: Record<string, unknown>
  /** Options of `redisStore()`. */
  storeOptions: Record<string, unknown>
}

export function readFlags(argv: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      port: { type: 'string', default: '0' },
      redis: { type: 'string' },
      cluster: { type: 'string', default: '' },
      prefix: { type: 'string', default: 'mcp' },
      sdk: { type: 'string', default: '1' },
      host: { type: 'string', default: 'server' },
      upstream: { type: 'string', default: '' },
      tls: { type: 'boolean', default: false },
      'no-events': { type: 'boolean', default: false },
      sessionless: { type: 'boolean', default: false },
      dir: { type: 'string', default: '.' },
      'crash-at': { type: 'string' },
      'grace-ms': { type: 'string', default: '5000' },
      options: { type: 'string', default: '{}' },
      'store-options': { type: 'string', default: '{}' },
    },
  })
  const crashAt = values['crash-at']
  if (crashAt !== undefined && !isCrashPoint(crashAt)) throw new Error(`no crash point '${crashAt}'`)
  return {
    port: Number(values.port),
    redis: values.redis,
    cluster: values.cluster.split(',').filter(Boolean),
    prefix: values.prefix,
    sdk: values.sdk === '2' ? 2 : 1,
    host: hosts.find((host) => host === values.host) ?? 'server',
    upstream: values.upstream,
    tls: values.tls,
    noEvents: values['no-events'],
    sessionless: values.sessionless,
    dir: values.dir,
    crashAt,
    graceMs: Number(values['grace-ms']),
    options: JSON.parse(values.options) as Record<string, unknown>,
    storeOptions: JSON.parse(values['store-options']) as Record<string, unknown>,
  }
}
