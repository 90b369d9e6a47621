import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { sessionIdOf } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'

test('whoever reads all of Redis finds nothing with which to speak for a session', async () => {
  const prefix = `test-${randomUUID()}`
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const settings = { history: { keep: '1h' } } as const
  const wrap = () => redisStore(redis, { prefix })
  await using nodes = await startNodes({ store: 'redis', wrap, settings })
  const session = await Session.begin(nodes)
  const { mcpSessionId } = session
  const sessionId = sessionIdOf(mcpSessionId)
  await using standalone = await session.stream(undefined, { node: 1 })
  const told = JSON.parse(await session.result('who', {}, { node: 1 })) as object
  expect(told, 'what a handler is told').toMatchObject({ sessionId })
  expect(await standalone.next()).toBeDefined()
  expect(await nodes.mcp(0).notify(sessionId, { method: 'notifications/tools/list_changed' })).toBe(true)
  expect(await nodes.mcp(0).notify(mcpSessionId, { method: 'notifications/tools/list_changed' })).toBe(true)
  await using call = await session.call('ask', { question: 'elicitation', related: true })
  await call.nextMessage()

  const all = (await redis.call('PUBSUB', 'SHARDCHANNELS', `${prefix}*`)) as string[]
  for (const key of await redis.keys(`${prefix}*`))
    all.push(key, (await redis.dumpBuffer(key)).toString('latin1'))
  expect(all.join('\n')).toContain(sessionId)
  expect(all.join('\n')).not.toContain(mcpSessionId)
  const thief = new Session(nodes, { mcpSessionId: sessionId, version: session.version, who: undefined })
  expect((await thief.request('ping')).status).toBe(404)

  for (const key of await redis.keys(`${prefix}*`)) await redis.unlink(key)
  redis.disconnect()
})
