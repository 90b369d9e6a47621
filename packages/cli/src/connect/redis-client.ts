import { Cluster, Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import { CliError, messageOf } from '../errors.js'
import type { Patience } from './connected.js'
import { hostsOf } from './target.js'
import type { Host, Target } from './target.js'

export type Client = Redis | Cluster

const CONNECT_MS = 5000
const COMMAND_MS = 10_000
const RETRY_MS = 500

/** Connects, and finds out what it is connected to: a server, a Cluster, or sentinels. */
export async function connect(target: Target, { patient }: Patience): Promise<Client> {
  const options: RedisOptions = {
    ...target.options,
    connectionName: 'mcp-durable-cli',
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    maxRetriesPerRequest: 0,
    lazyConnect: true,
  }
  if (target.master !== undefined) return viaSentinel(target, target.master, options, patient)
  const [redis, mode] = await firstThatAnswers(target, options)
  if (mode === 'standalone' && !patient) return redis
  const masters = mode === 'sentinel' ? ((await redis.call('SENTINEL', 'MASTERS')) as string[][]) : []
  redis.disconnect()
  if (mode === 'cluster') return toCluster(target, options, patient)
  if (mode === 'sentinel') return viaSentinel(target, onlyMaster(masters), options, patient)
  const { host, port } = redis.options
  return opened(new Redis({ ...options, host, port, retryStrategy: () => RETRY_MS }), target)
}

async function firstThatAnswers(target: Target, options: RedisOptions): Promise<[Redis, mode: string]> {
  let problem: unknown
  for (const host of target.hosts) {
    const redis = new Redis({ ...options, ...host, retryStrategy: null })
    try {
      await opened(redis, target)
      await requireDb(redis, target)
      const info = await redis.info('server')
      return [redis, /^redis_mode:(\w+)/m.exec(info)?.[1] ?? 'standalone']
    } catch (error) {
      problem = error
      redis.disconnect()
    }
  }
  throw problem instanceof CliError ? problem : unreachable(target, problem)
}

/** ioredis goes on with database 0 where there is no such one. */
async function requireDb(redis: Redis, target: Target) {
  const { db } = target.options
  if (db === undefined) return
  await redis.select(db).catch((error: unknown) => {
    throw new CliError(
      `Redis at ${hostsOf(target)} gives no database ${db}: ${messageOf(error)}`,
      ['Name the one that the nodes use: --redis redis://HOST:PORT/DB; 0 if they name none'],
      { cause: error },
    )
  })
}

/** The one that the sentinels watch. */
function onlyMaster(masters: string[][]): string {
  const names = masters.map((fields) => fields[fields.indexOf('name') + 1] ?? '')
  const [name] = names
  if (names.length === 1 && name !== undefined) return name
  throw new CliError(`these are sentinels, of ${names.length} masters: ${names.join(', ')}.`, [
    'Say which one: --redis redis+sentinel://HOST:PORT/MASTER',
  ])
}

function viaSentinel(target: Target, name: string, options: RedisOptions, patient: boolean): Promise<Client> {
  const retry = () => (patient ? RETRY_MS : null)
  let tries = 0
  const redis = new Redis({
    ...options,
    name,
    sentinels: target.hosts,
    sentinelRetryStrategy: () => (patient || tries++ < 1 ? RETRY_MS : null),
    retryStrategy: retry,
  })
  return opened(redis, target)
}

function toCluster(target: Target, redisOptions: RedisOptions, patient: boolean) {
  const cluster = new Cluster(target.hosts satisfies Host[], {
    redisOptions,
    lazyConnect: true,
    slotsRefreshTimeout: CONNECT_MS,
    clusterRetryStrategy: (times) => (times > 3 && !patient ? null : RETRY_MS),
  })
  return opened(cluster, target)
}

async function opened<T extends Client>(client: T, target: Target): Promise<T> {
  let problem: unknown
  // Without a listener ioredis prints every failed attempt.
  client.on('error', (error: unknown) => (problem = error))
  try {
    await client.connect()
    return client
  } catch (error) {
    client.disconnect()
    throw unreachable(target, problem ?? error)
  }
}

function unreachable(target: Target, error: unknown): CliError {
  const message = messageOf(error)
  const where = hostsOf(target)
  if (/NOAUTH|WRONGPASS|NOPERM/.test(message)) {
    return new CliError(
      `Redis at ${where} does not let us in: ${/NOAUTH/.test(message) ? 'it asks for a password.' : message}`,
      [
        'Put the user and password into the address: --redis redis://USER:PASSWORD@HOST:PORT, or into REDIS_URL',
      ],
      { cause: error },
    )
  }
  return new CliError(
    `no Redis answers at ${where} (${message}).`,
    [
      ...tlsNext(target, message),
      'Say where it is: --redis redis://HOST:PORT, or REDIS_URL=redis://HOST:PORT',
      'Or start one: redis-server --appendonly yes',
      'If the nodes keep all in a file, say which: --sqlite FILE',
    ],
    { cause: error },
  )
}

/** A server that speaks TLS and one that does not keep silent with each other. */
function tlsNext({ options }: Target, message: string): string[] {
  if (/certificate/i.test(message)) return ['If you trust who signed that: NODE_EXTRA_CA_CERTS=FILE']
  if (/ECONNREFUSED|ENOTFOUND|EHOSTUNREACH/.test(message)) return []
  return options.tls
    ? ['If that port speaks without TLS: redis://HOST:PORT']
    : ['If that port speaks TLS: rediss://HOST:PORT']
}
