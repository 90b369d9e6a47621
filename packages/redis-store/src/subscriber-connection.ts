import { reconnectDelay } from './own-connections.js'
import type { RedisLike, SubscriberLike } from './redis-like.js'

type RedisDuplicate = (options: object) => SubscriberLike
type ClusterDuplicate = (nodes: never[], options: object) => SubscriberLike

/**
 * A connection like the application's, for wake-ups only. It subscribes again itself after a break: ioredis
 * would do it without telling when it is done, and without catching its failure.
 */
export function subscriberConnection(client: RedisLike): SubscriberLike {
  const connection = client.isCluster ? clusterSubscriber(client) : singleSubscriber(client)
  // Reconnecting is all there is to do, and that happens anyway; without a listener an error ends the process.
  connection.on('error', () => undefined)
  connection.on('node error', () => undefined)
  return connection
}

function singleSubscriber(client: RedisLike) {
  return (client.duplicate as RedisDuplicate).call(client, {
    keyPrefix: '',
    lazyConnect: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: reconnectDelay,
  })
}

function clusterSubscriber(client: RedisLike) {
  return (client.duplicate as ClusterDuplicate).call(client, [], {
    keyPrefix: '',
    lazyConnect: false,
    enableAutoPipelining: false,
    shardedSubscribers: true,
    // The timer of ioredis outlives a connection that is closed while it asks.
    slotsRefreshInterval: 0,
    // Each of its own repetitions would remember the channel once more.
    maxRedirections: 2,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: reconnectDelay,
    redisOptions: { keyPrefix: '' },
  })
}
