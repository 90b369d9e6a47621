import { channelOf, isAlive } from '@mcp-durable/core/inspect'
import type { InspectedServer, RedisInspection } from '@mcp-durable/redis-store/inspect'
import type { RedisConnected } from '../connect/connected.js'
import { placeOf } from '../look/node-names.js'
import { span } from '../show/text.js'
import { note } from './finding.js'
import type { Examination, Finding } from './finding.js'
import { checkKeys } from './key-checks.js'
import { checkClocks, checkNodes, MOST_SKEW_MS } from './node-checks.js'
import type { LookedAt } from './node-checks.js'
import { checkCluster, checkServer, isTooOld } from './server-checks.js'
import { checkSealing } from './seal-checks.js'
import { checkCalls, checkDiverged } from './session-checks.js'

/** Settings of its servers, nodes and their clocks, calls, and its keys. */
export async function examineRedis(
  { inspect, prefix }: RedisConnected,
  { leaseMs, mostSessions, mostKeys, privacy, stored, keyIds }: Examination,
): Promise<Finding[]> {
  const servers = await inspect.servers.list()
  const several = servers.length > 1
  const ofServers = servers.flatMap((server) =>
    checkServer(server).map((finding) =>
      several ? { ...finding, check: `${finding.check} of ${server.address}` } : finding,
    ),
  )
  if (servers.some(isTooOld)) return ofServers
  const nodes = await inspect.nodes.list()
  const looked = { nodes, leaseMs, privacy }
  const hidden = servers.filter(({ config }) => config === undefined)
  return [
    ...ofServers,
    ...hidden.map(({ address }) =>
      note('settings', `${address} lets nobody see all of its settings; what INFO says was looked at`),
    ),
    ...checkCluster(servers),
    ...checkNodes(looked),
    ...(await checkChannels(inspect, looked)),
    ...checkClocks(looked, 'Redis'),
    ...checkOwnClock(servers),
    ...(await checkCalls(inspect, { ...looked, most: mostSessions })),
    ...(await checkDiverged(inspect, { ...looked, most: mostSessions })),
    ...(await checkSealing(stored, { ...looked, keyIds })),
    ...(await checkKeys(inspect, { most: mostKeys, prefix, privacy })),
  ]
}

function checkOwnClock(servers: readonly InspectedServer[]): Finding[] {
  const off = servers.filter(({ clock }) => Math.abs(clock.aheadMs) - clock.uncertainMs > MOST_SKEW_MS)
  return off.map(({ address, clock }) =>
    note('clock of this machine', `${span(Math.abs(clock.aheadMs))} off from ${address}`),
  )
}

/** Every node that lives listens on its own channel, else the others find it dead at its first late heartbeat. */
async function checkChannels(
  inspect: RedisInspection,
  { nodes, leaseMs, privacy }: LookedAt,
): Promise<Finding[]> {
  const alive = nodes.filter((node) => isAlive(node, leaseMs))
  const heard = await Promise.all(alive.map(({ node }) => inspect.nodes.isWatched(channelOf(node))))
  const deaf = alive.filter((_node, i) => !heard[i])
  if (deaf.length === 0) return []
  const names = deaf.map((node) => `${placeOf(node.about) ?? 'node'} ${privacy.id(node.node)}`)
  return [
    note('wake-ups', `not listening: ${names.join('; ')}`, {
      risk: 'it may be connecting again or just have died; a node that stays deaf hears answers and cancellations seconds late',
    }),
  ]
}
