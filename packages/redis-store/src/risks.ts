import type { Findings, WakeUps } from './wake-ups.js'

/** From here on all commands are there, but for sharded pub/sub. */
const OLDEST = 6.2

/** What the script `find-risks` found out, as sentences for the log: what may happen, and what to do. */
export function describeRisks(found: Findings, { way, reason }: Pick<WakeUps, 'way' | 'reason'>): string[] {
  const {
    redis_version: version = '',
    maxmemory_policy: policy,
    aof_enabled: aof,
    SHARDNUMSUB: count,
  } = found
  const isOld = Number.parseFloat(version) < OLDEST
  return [
    ...(isOld ? [tooOld(version)] : []),
    ...(policy && policy !== 'noeviction' ? [evictionRisk(policy)] : []),
    ...(aof === '0' ? [APPENDONLY_RISK] : []),
    ...(way === 'plain' ? [plainRisk(reason, found['cluster_enabled'] !== '0')] : []),
    ...(way === 'polled' ? [polledRisk(reason)] : []),
    ...(way === 'sharded' && count
      ? [`Redis refuses PUBSUB SHARDNUMSUB: ${count} ${UNCOUNTED} ${RIGHTS}`]
      : []),
  ]
}

const tooOld = (version: string) =>
  `Redis ${version} is too old: it lacks commands, and requests are refused with 503. Use Redis 7.0 or newer, or Valkey 8.`

const evictionRisk = (policy: string) =>
  `Redis has maxmemory-policy ${policy}: when its memory is full it deletes sessions and running calls. ` +
  'Set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.'

const APPENDONLY_RISK =
  'Redis has appendonly no: when it is restarted, all sessions and running calls are lost. ' +
  'Turn it on: redis-cli CONFIG SET appendonly yes, and the same in redis.conf.'

const UNCOUNTED = 'Without it, the calls of a killed node wait until its lease is over.'
const RIGHTS = 'docs/security.md has the rights that a node needs.'

const plainRisk = (reason: string, isUncounted: boolean) =>
  `Redis takes no sharded pub/sub: ${reason} Nodes wake each other over PUBLISH in its place; all of them have to, so give each ` +
  `the same rights.${isUncounted ? ` ${UNCOUNTED}` : ''} ${RIGHTS}`

const polledRisk = (reason: string) =>
  `Redis takes no pub/sub: ${reason} Nodes look for news every half second in its place, so what another node has goes on later, and there is ` +
  `more to do; all of them have to, so give each the same rights. ${UNCOUNTED} ${RIGHTS}`
