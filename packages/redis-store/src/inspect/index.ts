import type { Inspection } from '@mcp-durable/core/inspect'
import { Keys } from '../keys.js'
import { RedisCalls } from './calls.js'
import { RedisLogs } from './logs.js'
import { RedisMaps } from './maps.js'
import { RedisNodes } from './nodes.js'
import { Reading } from './reading.js'
import type { InspectableRedis } from './reading.js'
import { Servers } from './servers.js'
import { RedisSessions } from './sessions.js'
import { Survey } from './survey.js'

/** What any store shows, and what only Redis has. */
export interface RedisInspection extends Inspection {
  readonly nodes: RedisNodes
  readonly servers: Servers
  readonly survey: Survey
}

/**
 * Looks into what `redisStore` keeps, for people who operate it: everything is read with commands that don't write,
 * so a user of Redis that may only read is enough. Long reads use SCAN and go page by page.
 */
export function inspectRedis(
  client: InspectableRedis,
  { prefix = 'mcp' }: { prefix?: string } = {},
): RedisInspection {
  const reading = new Reading(client)
  const keys = new Keys(prefix)
  return {
    nodes: new RedisNodes(reading, keys),
    sessions: new RedisSessions(reading, keys),
    calls: new RedisCalls(reading, keys),
    logs: new RedisLogs(reading, keys),
    maps: new RedisMaps(reading, keys),
    servers: new Servers(reading),
    survey: new Survey(reading, keys),
  }
}

export type { InspectableRedis, ReadingCommand } from './reading.js'
export type { RedisNodes } from './nodes.js'
export type { InspectedServer, Servers } from './servers.js'
export type { Survey, SurveyedKey } from './survey.js'
export { prefixOf } from '../keys.js'
export type { KeyPlace } from '../keys.js'
