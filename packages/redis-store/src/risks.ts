const OLDEST_MAJOR = 7

/** What the script `find-risks` found out, as sentences for the log: what may happen, and what to do. */
export function describeRisks(reply: unknown): string[] {
  const [version, policy, aof, publish, count] = (reply as unknown[]).map(String)
  const major = Number.parseInt(version ?? '', 10)
  if (major < OLDEST_MAJOR) return [tooOld(version!)]
  return [
    ...(policy && policy !== 'noeviction' ? [evictionRisk(policy)] : []),
    ...(aof === '0' ? [APPENDONLY_RISK] : []),
    ...(publish ? [`Redis refuses SPUBLISH, with which nodes wake each other: ${publish} ${RIGHTS}`] : []),
    ...(count ? [`Redis refuses PUBSUB SHARDNUMSUB: ${count} ${UNCOUNTED} ${RIGHTS}`] : []),
  ]
}

const tooOld = (version: string) =>
  `Redis ${version} is too old: it has no sharded pub/sub, with which nodes wake each other. Requests are refused with ` +
  '503. Use Redis 7.0 or newer, or Valkey 8.'

const evictionRisk = (policy: string) =>
  `Redis has maxmemory-policy ${policy}: when its memory is full it deletes sessions and running calls. ` +
  'Set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.'

const APPENDONLY_RISK =
  'Redis has appendonly no: when it is restarted, all sessions and running calls are lost. ' +
  'Turn it on: redis-cli CONFIG SET appendonly yes, and the same in redis.conf.'

const UNCOUNTED = 'Without it, the calls of a killed node wait until its lease is over.'
const RIGHTS = 'docs/security.md has the rights that a node needs.'
