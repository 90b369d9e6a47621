import { Keys } from '../keys.js'
import { CallJournals } from './calls.js'
import { Logs } from './logs.js'
import { Maps } from './maps.js'
import { Nodes } from './nodes.js'
import { Reading } from './reading.js'
import type { InspectableRedis } from './reading.js'
import { Servers } from './servers.js'
import { Sessions } from './sessions.js'
import { Survey } from './survey.js'

/**
 * Looks into what `redisStore` keeps, for people who operate it: everything is read with commands that don't write,
 * so a user of Redis that may only read is enough. Long reads use SCAN and go page by page.
 */
export function inspectRedis(client: InspectableRedis, { prefix = 'mcp' }: { prefix?: string } = {}) {
  const reading = new Reading(client)
  const keys = new Keys(prefix)
  return {
    nodes: new Nodes(reading, keys),
    sessions: new Sessions(reading, keys),
    calls: new CallJournals(reading, keys),
    logs: new Logs(reading, keys),
    maps: new Maps(reading, keys),
    servers: new Servers(reading),
    survey: new Survey(reading, keys),
  }
}

export type RedisInspection = ReturnType<typeof inspectRedis>
export type { InspectableRedis, ReadingCommand } from './reading.js'
export type { CallJournals, CallPlace } from './calls.js'
export type { InspectedNode, Nodes } from './nodes.js'
export type { InspectedServer, Servers } from './servers.js'
export type { InspectedSession, Sessions, TimedState } from './sessions.js'
export type { Logs, TimedEntry } from './logs.js'
export type { MapPage, Maps } from './maps.js'
export type { Survey, SurveyedKey } from './survey.js'
export { prefixOf } from '../keys.js'
export type { KeyPlace } from '../keys.js'
