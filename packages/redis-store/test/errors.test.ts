import { StoreError } from '@mcp-durable/core/errors'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { storeError } from '../src/errors.js'
import { HOUR, LIMITS, newCall, newSession, once, openStore } from './support.js'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })
const aborted = (message: string) => Object.assign(new Error(message), { name: 'AbortError' })

test.each([
  [
    reply("READONLY You can't write against a read only replica. script: 1, on @user_script:3."),
    'store-unavailable',
  ],
  [reply('CLUSTERDOWN The cluster is down'), 'store-unavailable'],
  [reply('LOADING Redis is loading the dataset in memory'), 'store-unavailable'],
  [
    reply("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    'store-unavailable',
  ],
  [reply('NOREPLICAS Not enough good replicas to write.'), 'store-unavailable'],
  [reply('BUSY Redis is busy running a script.'), 'store-unavailable'],
  [
    new Error('Too many Cluster redirections. Last error: ReplyError: CLUSTERDOWN Hash slot not served'),
    'store-unavailable',
  ],
  [new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'store-unavailable'],
  [new Error('Connection is closed.'), 'store-timeout'],
  [new Error('Command timed out'), 'store-timeout'],
  [new Error('Too many Cluster redirections. Last error: Error: Connection is closed.'), 'store-timeout'],
  [aborted('Command aborted due to connection close'), 'store-timeout'],
  [Object.assign(new Error('read ECONNRESET'), { syscall: 'read' }), 'store-timeout'],
  [reply("OOM command not allowed when used memory > 'maxmemory'."), 'store-failed'],
  [reply('WRONGTYPE Operation against a key holding the wrong kind of value'), 'store-refused'],
  [reply('NOPERM this user has no permissions'), 'store-failed'],
  [reply('ERR my READONLY value'), 'store-failed'],
  ['no error at all', 'store-failed'],
])('%s', (cause, code) => {
  const error = storeError(cause, false)
  expect(error).toBeInstanceOf(StoreError)
  expect(error.code).toBe(code)
  expect(error.cause).toBe(cause)
})

test('after a broken connection, a refusal proves nothing: an earlier sending may have been applied', () => {
  expect(storeError(reply('READONLY You cannot write'), true).code).toBe('store-timeout')
  expect(storeError(reply('LOADING Redis is loading'), true).code).toBe('store-timeout')
})

test('an error never carries what was to be stored', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const { id } = newSession()
  await client.set(`${prefix}:{${id}}`, 'not a hash', 'PX', 60_000)
  const error: unknown = await store
    .putState(id, { key: 'k', data: 'secret-payload', nonce: 'n' }, { maxKeys: 9 })
    .catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'store-refused' })
  const { inspect } = await import('node:util')
  expect(inspect(error, { depth: 9 })).not.toContain('secret-payload')
})

test('a full Redis refuses as a whole', async () => {
  await using server = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
  await using opened = openStore(server.url)
  const { store, client } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const call = newCall(session.id)
  const started = await store.openCall(call)
  if (started.status !== 'opened') throw new Error(started.status)
  const before = await store.readSession(session.id)
  await client.config('SET', 'maxmemory', '1mb')
  const second = newCall(session.id)
  const next = { id: started.id.replace(/1$/, '2'), data: 'x' }
  const close = { requestKeys: call.requestKeys, retainMs: HOUR }
  for (const attempt of [
    () => store.createSession(newSession(), LIMITS),
    () => store.putState(session.id, { key: 'k', data: 'd', nonce: 'n' }, { maxKeys: 9 }),
    () => store.append(session.id, 'out', 'x', once()),
    () => store.openCall(second),
    () => store.appendCall(session.id, call.callId, [next], close),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: 'store-failed' })
  }
  await client.config('SET', 'maxmemory', '0')
  expect(await store.readSession(session.id)).toEqual(before)
  expect(await store.findCalls(session.id, '')).toEqual([call.callId])
  expect(await store.read(session.id, 'out', '0-0', 10)).toEqual([])
  expect(await store.read(session.id, `call:${second.callId}`, '0-0', 10)).toEqual([])
  expect(await store.read(session.id, `call:${call.callId}`, '0-0', 10)).toHaveLength(1)
})

test('a replica refuses to write, and that is for now', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url)
  const { store, client } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const admin = new Redis(server.url)
  await admin.replicaof('127.0.0.1', 1)
  const append = () => store.append(session.id, 'out', 'x', once())
  await expect(append()).rejects.toMatchObject({ code: 'store-unavailable' })
  await admin.replicaof('NO', 'ONE')
  await waitFor(() => client.status === 'ready')
  expect(await append()).toBeDefined()
  admin.disconnect()
})
