import type { RedisLike, WriterLike } from './redis-like.js'

export const reconnectDelay = (times: number) => Math.min(25 * 2 ** times, 1000) + Math.random() * 100

type RedisDuplicate = (options: object) => WriterLike
type ClusterDuplicate = (nodes: never[], options: object) => WriterLike

/**
 * A connection like the application's, for writes that wait. What was sent on one that broke is not sent again on the next:
 * what it waits for would have been written by nobody.
 */
export function writingConnection(client: RedisLike): WriterLike {
  const once = { autoResendUnfulfilledCommands: false, enableAutoPipelining: false, maxRetriesPerRequest: 0 }
  const connection = client.isCluster
    ? (client.duplicate as ClusterDuplicate).call(client, [], {
        lazyConnect: false,
        enableAutoPipelining: false,
        clusterRetryStrategy: reconnectDelay,
        redisOptions: once,
      })
    : (client.duplicate as RedisDuplicate).call(client, {
        ...once,
        lazyConnect: false,
        retryStrategy: reconnectDelay,
      })
  connection.on('error', () => undefined)
  connection.on('node error', () => undefined)
  return connection
}
