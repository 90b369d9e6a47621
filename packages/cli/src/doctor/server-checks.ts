import type { InspectedServer } from '@mcp-durable/redis-store/inspect'
import { quoted } from '../show/shell.js'
import { bytes, count } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Finding } from './finding.js'

/** From here on it has all commands that are needed, but for sharded pub/sub. */
const OLDEST_REDIS = 6.2
/** What calls itself Redis in `redis_version`, for its clients. */
const ENGINES = { valkey_version: 'Valkey', dragonfly_version: 'Dragonfly', garnet_version: 'Garnet' }
const FULL = 0.8

/** What one server's version and settings mean for what it has acknowledged. */
export function checkServer(server: InspectedServer): Finding[] {
  return [
    checkVersion(server),
    checkPolicy(server),
    checkMemory(server),
    ...checkPersistence(server),
    checkReplicas(server),
  ]
}

/** It lacks what all else is asked with. */
export const isTooOld = ({ info }: InspectedServer) =>
  !(Number.parseFloat(info['redis_version'] ?? '') >= OLDEST_REDIS)

function checkVersion(server: InspectedServer): Finding {
  const name = nameOf(server)
  const version = Number.parseFloat(server.info['redis_version'] ?? '')
  if (isTooOld(server)) {
    return risk('version', name, {
      risk: 'older than 6.2: commands are missing, and requests get 503',
      fix: 'run Redis 7.0 or newer, or Valkey 8: docker compose up -d redis, or the image redis:7',
    })
  }
  if (version < 7) {
    return note('version', name, {
      risk: "no sharded pub/sub: nodes wake each other over PUBLISH; no WAITAOF: durability 'fsync' takes appendfsync always",
    })
  }
  return ok('version', version < 7.2 ? `${name}, without WAITAOF` : name)
}

function nameOf({ info }: InspectedServer) {
  const [own, engine] = Object.entries(ENGINES).find(([field]) => info[field] !== undefined) ?? []
  return own === undefined ? `Redis ${info['redis_version'] ?? 'unknown'}` : `${engine} ${info[own]}`
}

function checkPolicy(server: InspectedServer): Finding {
  const { info } = server
  const policy = server.config?.['maxmemory-policy'] ?? info['maxmemory_policy'] ?? 'unknown'
  if (policy === 'noeviction') return ok('maxmemory-policy', policy)
  return risk('maxmemory-policy', policy, {
    risk: 'when memory is full, Redis deletes sessions, journals and running calls',
    fix: configSet(server, 'maxmemory-policy noeviction'),
  })
}

function checkMemory(server: InspectedServer): Finding {
  const { info } = server
  const used = Number(info['used_memory'])
  const most = Number(info['maxmemory'])
  if (!(most > 0)) {
    return note('memory', `${bytes(used)} used, no maxmemory`, {
      risk: 'a full machine ends the process instead of refusing writes',
      fix: configSet(server, `maxmemory ${Math.max(256, Math.ceil((used * 4) / 1024 ** 2))}mb`),
    })
  }
  const found = `${bytes(used)} of ${bytes(most)} used`
  if (used < most * FULL) return ok('memory', found)
  return risk('memory', found, {
    risk: 'when it is full, new sessions and calls get 503, and running calls stand still',
    fix: configSet(server, `maxmemory ${Math.ceil((most * 2) / 1024 ** 2)}mb`),
  })
}

function checkPersistence(server: InspectedServer): Finding[] {
  const { info, config } = server
  if (info['aof_enabled'] !== '1') {
    return [
      risk('appendonly', 'off', {
        risk: 'a restart of Redis loses every session and every running call',
        fix: configSet(server, 'appendonly yes'),
      }),
    ]
  }
  const findings = [ok('appendonly', 'on')]
  if (info['aof_last_write_status'] === 'err' || info['aof_last_bgrewrite_status'] === 'err') {
    findings.push(
      risk('append-only file', 'the last write to it failed', {
        risk: 'Redis refuses writes until it can write the file again',
        fix: 'df -h "$(redis-cli CONFIG GET dir | tail -1)"',
      }),
    )
  }
  return config ? [...findings, checkFsync(server, config['appendfsync'] ?? 'unknown')] : findings
}

function checkFsync(server: InspectedServer, fsync: string): Finding {
  if (fsync === 'always') return ok('appendfsync', fsync)
  if (fsync === 'everysec') {
    return note('appendfsync', fsync, {
      risk: 'a crash of the machine can lose the last second; an at-most-once step may run twice then',
      fix: configSet(server, 'appendfsync always'),
    })
  }
  return risk('appendfsync', fsync, {
    risk: 'a crash of the machine loses all that the system had not written yet, often half a minute',
    fix: configSet(server, 'appendfsync everysec'),
  })
}

function checkReplicas(server: InspectedServer): Finding {
  const { info, config } = server
  if (info['role'] === 'slave') {
    return note('role', 'a replica', { risk: 'what it shows may be old; nodes must use its master' })
  }
  const replicas = Number(info['connected_slaves'] ?? 0)
  const needed = Number(config?.['min-replicas-to-write'] ?? 0)
  const found = `${count(replicas, 'replica')}, min-replicas-to-write ${config ? needed : 'unknown'}`
  if (needed > replicas) {
    return risk('replicas', found, {
      risk: 'Redis refuses every write until enough replicas are connected: requests get 503',
      fix: 'redis-cli INFO replication, then start the replicas that are missing',
    })
  }
  if (replicas > 0 && config && needed === 0) {
    return risk('replicas', found, {
      risk: 'a master that is cut off goes on taking writes, and a fail-over loses them all',
      fix: configSet(server, 'min-replicas-to-write 1'),
    })
  }
  if (replicas > 0) return ok('replicas', found)
  return note('replicas', found, {
    risk: 'nothing takes over when this server is gone; nodes answer 503 meanwhile',
  })
}

/** Slots of a Cluster, as all of its masters see them. */
export function checkCluster(servers: readonly InspectedServer[]): Finding[] {
  const [first] = servers
  if (!first?.cluster) return []
  const states = new Set(servers.map(({ cluster }) => cluster?.['cluster_state']))
  const covered = Number(first.cluster['cluster_slots_ok'])
  const found = `${count(servers.length, 'master')}, ${covered} of 16384 slots served`
  const slots =
    states.size === 1 && states.has('ok') && covered === 16_384
      ? ok('Cluster', found)
      : risk('Cluster', `${found}, state ${[...states].join(' and ')}`, {
          risk: 'sessions whose slots are not served get 503',
          fix: `redis-cli --cluster fix ${quoted(first.address)}`,
        })
  const coverage = servers.filter(({ config }) => config?.['cluster-require-full-coverage'] === 'yes')
  const [strict] = coverage
  if (!strict) return [slots, ok('cluster-require-full-coverage', 'no')]
  return [
    slots,
    risk('cluster-require-full-coverage', `yes, on ${coverage.map(({ address }) => address).join(', ')}`, {
      risk: 'the fail-over of one master stops the sessions of all masters',
      fix: configSet(strict, 'cluster-require-full-coverage no'),
    }),
  ]
}

/** Sets it now, and for the next start. */
function configSet({ address }: InspectedServer, setting: string): string {
  const colon = address.lastIndexOf(':')
  const at = `redis-cli -h ${quoted(address.slice(0, colon))} -p ${quoted(address.slice(colon + 1))}`
  return `${at} CONFIG SET ${setting} && ${at} CONFIG REWRITE`
}
