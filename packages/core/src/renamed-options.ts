import type { Logger } from './logger.js'

/** What options were called in 0.1. */
const RENAMED: Readonly<Record<string, string>> = {
  sessionTtl: 'sessionTtlMs',
  resumeWindow: 'resumeWindowMs',
  hostIdle: 'serverIdleMs',
  maxHosts: 'maxServers',
  keepAlive: 'keepAliveMs',
  maxStreamAge: 'maxStreamAgeMs',
  stallTimeout: 'stallTimeoutMs',
  retry: 'retryMs',
  reconcileEvery: 'reconcileEveryMs',
  upstreamGrace: 'upstreamGraceMs',
  heartbeat: 'heartbeatMs',
  lease: 'leaseMs',
  sweep: 'sweepMs',
}

/** Options under their names of today. One of an old name is taken, and warned of. */
export function renamed<Options extends object>(options: Options, logger: Logger): Options {
  const names = Object.keys(options).filter((name) => Object.hasOwn(RENAMED, name))
  if (names.length === 0) return options
  const now = names.map((name) => `\`${name}\` is \`${RENAMED[name]}\``)
  logger.warn({}, `durable(): options have new names; the old ones go with 1.0: ${now.join(', ')}`)
  const entries = Object.entries(options).filter(([name]) => !names.includes(name))
  const old = names.map((name) => [RENAMED[name], options[name as keyof Options]] as const)
  return Object.fromEntries([...old, ...entries]) as Options
}
