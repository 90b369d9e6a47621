import { randomUUID } from 'node:crypto'
import { CallTimeline, decodeMessage, listCalls } from '@mcp-durable/core/inspect'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { newCall, newSession, NO_LIMIT } from '../../src/testing/stores.js'

// Whoever may write to the store can leave there what no version of this library writes. It is told of, and hides nothing else.

const FINE = {
  node: 'n',
  protocol: '2025-11-25',
  messages: [{ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'fine' } }],
}
const request = (more: object) => `request ${JSON.stringify({ ...FINE, ...more })}`

const UNREADABLE = [
  'request {}',
  'request null',
  'request [',
  request({ messages: [null] }),
  request({ messages: [{ id: 1, method: 5 }] }),
  request({ node: 7 }),
  request({ of: {} }),
  'claim null',
  'claim {}',
  'returned null',
  'diverged null',
  'diverged {}',
  'parked null',
  'parked {}',
  'passed null',
  'passed {}',
  'step null',
  'step {}',
  'step {"id":"a","phase":"done"}',
  'step {"id":"a","phase":"done","value":5}',
  'message null',
  'message 5',
  'message {}',
  'message {"method":5}',
  'question {}',
  'withdrawn {}',
  'response null',
  'response 7',
  'response {"result":null}',
  'response {"error":5}',
  'nonsense',
  '',
]
const UNREADABLE_IN_INBOX = [
  'answer',
  'answer {}',
  'answer 1 null',
  'answer 1 5',
  'woken null',
  'woken {}',
  'woken {"by":"ann","steps":[1]}',
  'became null',
  'retried {}',
  'cancelled {"by":5}',
  'cancelled',
]

test.each(UNREADABLE)('a journal tells that it can not read: %s', (data) => {
  const fine = { id: '1-1', at: 1, data: request({}) }
  const [behind, alone] = [new CallTimeline('c'), new CallTimeline('c')]
  expect(behind.add(fine)).toMatchObject({ kind: 'opened' })
  expect(behind.add({ id: '1-2', at: 1, data })).toMatchObject({ kind: 'unreadable', payload: data })
  expect(behind).toMatchObject({ title: 'tools/call fine', questions: [], wakesAt: undefined })
  expect(alone.add({ id: '1-1', at: 1, data })).toMatchObject({ kind: 'unreadable' })
  expect(alone).toMatchObject({ title: 'unreadable', openedAt: 1, sealed: undefined })
})

test.each(UNREADABLE_IN_INBOX)('an inbox tells that it can not read: %s', (data) => {
  expect(new CallTimeline('c').addInbox({ id: '1-1', at: 1, data })).toMatchObject({ kind: 'unreadable' })
})

test.each(['null', '5', '{}', '[]', '{"method":5}', '{"result":null}', '{'])(
  'a log holds no message: %s',
  (data) => {
    expect(decodeMessage(data)).toBeUndefined()
  },
)

test('one odd journal does not hide all other calls', async () => {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  const store = redisStore(redis, { prefix })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), NO_LIMIT)
  for (const data of [request({}), 'request {}', 'step null']) await store.openCall(newCall(scope, { data }))
  const { calls } = await listCalls(inspectRedis(redis, { prefix }))
  expect(calls.map(({ title }) => title).toSorted()).toEqual(['tools/call fine', 'unreadable', 'unreadable'])
  await redis.unlink(...(await redis.keys(`${prefix}*`)))
  redis.disconnect()
})

test('a status in place of a list of them is no list of its letters', async () => {
  await expect(listCalls({} as never, { status: 'failed' as never })).rejects.toThrow(
    "`status` must be a list: ['failed']. It is a string.",
  )
})
