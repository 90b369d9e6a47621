import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis, prefixOf } from '@mcp-durable/redis-store/inspect'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import type { End } from '../migrate/end.js'
import type { Patience, RedisConnected } from './connected.js'
import { connect } from './redis-client.js'
import { DEFAULT_URL, parseTarget, addressOf } from './target.js'

type RedisPlace = { redis: string | undefined; prefix: string; name: string | undefined }

export async function connectRedis(
  { redis = DEFAULT_URL, prefix: before, name }: RedisPlace,
  patience: Patience,
): Promise<RedisConnected> {
  const target = parseTarget(redis)
  const client = await connect(target, patience)
  const prefix = prefixOf(before, name)
  const address = addressOf(target)
  return {
    kind: 'redis',
    inspect: inspectRedis(client, { prefix }),
    prefix,
    where: `${address}  prefix ${prefix}`,
    area: `under the prefix ${prefix} at ${address}`,
    open: () => redisStore(client, { prefix }),
    close: () => client.disconnect(),
  }
}

export async function redisEnd(url: string, prefix: string): Promise<End> {
  const target = parseTarget(url)
  const client = await connect(target, { patient: false })
  return {
    where: `${addressOf(target)}, prefix ${prefix}`,
    part: (name) => {
      const whole = prefixOf(prefix, name)
      return {
        inspect: inspectRedis(client, { prefix: whole }),
        transfer: transferRedis(client, { prefix, name }),
        open: () => redisStore(client, { prefix: whole }),
      }
    },
    close: () => client.disconnect(),
  }
}
