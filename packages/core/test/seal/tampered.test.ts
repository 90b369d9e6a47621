import { randomBytes, randomUUID } from 'node:crypto'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { memoryStore, sealedStore, sessionState, sortedMap } from '../../src/index.js'
import { reseal } from '../../src/inspect/index.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { newCall, newSession, NO_LIMIT, once } from '../../src/testing/stores.js'

import { startNodes } from '../support/nodes.js'
import { expectStream, Session, textOf } from '../support/session.js'
import { overriding } from '../support/overriding.js'

const keys = [randomBytes(32)]
const tampered = { name: 'SealError', code: 'store-tampered' }

test('a secret that no node has made is not taken, and nothing is sealed with it', async () => {
  const [raw, secrets] = [memoryStore(), memoryStore()]
  const begin = async (principal: string) => {
    const session = newSession({ principal })
    await sealedStore(raw, { keys, secrets }).createSession(session, NO_LIMIT)
    return session.id
  }
  const scope = await begin('alice')
  const { data = '' } = (await raw.readSession(scope))?.state[0] ?? {}
  const [, , , , name = ''] = data.split(':')
  const own = `secret-${name.slice(0, 16)}`
  const { version = 0 } = (await secrets.readValue(own, 'secret')) ?? {}
  await secrets.writeValue(own, 'secret', version, `${name.slice(16)} ${Buffer.alloc(32).toString('base64')}`)
  await expect(sealedStore(raw, { keys, secrets }).readSession(scope)).rejects.toMatchObject({
    ...tampered,
    message: expect.stringContaining('`seal.secrets` is not sealed') as string,
  })
  await expect(begin('alice')).rejects.toMatchObject(tampered)
  await expect(begin('bob')).resolves.toBeTruthy()
})

test('what is not sealed becomes so only where that is meant', async () => {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  const raw = redisStore(redis, { prefix })
  const { id: scope } = newSession()
  await raw.createSession(newSession({ id: scope }), NO_LIMIT)
  await sessionState(raw, scope).set('planted')
  await sortedMap(raw, 'map').insert({ key: Buffer.from('planted') })
  const strict = sealedStore(raw, { keys, plain: 'refuse' })
  const looks = [() => sessionState(strict, scope).get(), () => sortedMap(strict, 'map').get('key')]
  const again = (plain: 'read' | 'refuse') => reseal(inspectRedis(redis, { prefix }), raw, { keys, plain })
  expect(await again('refuse')).toMatchObject({ resealed: 0, unreadable: 2 })
  for (const look of looks) await expect(look()).rejects.toMatchObject(tampered)
  expect(await again('read')).toMatchObject({ resealed: 2, unreadable: 0 })
  expect(await looks[0]!()).toBe('planted')
  expect(Buffer.from((await looks[1]!()) as Uint8Array).toString()).toBe('planted')
  await redis.unlink(...(await redis.keys(`${prefix}*`)))
  redis.disconnect()
})

test('what is put back, cut off or repeated within its log is not noticed', async () => {
  const raw = memoryStore()
  const store = sealedStore(raw, { keys, plain: 'refuse' })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), NO_LIMIT)
  const first = await store.writeValue(scope, 'key', 0, 'the first')
  const older = (await raw.readValue(scope, 'key'))?.data ?? ''
  const second = await store.writeValue(scope, 'key', Number(first), 'the second')
  await raw.writeValue(scope, 'key', Number(second), older)
  expect((await store.readValue(scope, 'key'))?.data).toBe('the first')

  await store.append(scope, 'out', 'told', once())
  const [told] = (await raw.read(scope, 'out', BEGINNING, 9)) ?? []
  await raw.append(scope, 'out', told?.data ?? '', once())
  expect((await store.read(scope, 'out', BEGINNING, 9))?.map(({ data }) => data)).toEqual(['told', 'told'])

  const call = newCall(scope)
  await store.openCall(call)
  const request = (await raw.read(scope, `call:${call.callId}`, BEGINNING, 9))?.at(0)
  await raw.append(scope, 'call:other:in', request?.data ?? '', once())
  await expect(store.read(scope, 'call:other:in', BEGINNING, 9)).rejects.toMatchObject(tampered)
})

test('a request that needs what was altered is refused as an error, and says so on the log', async () => {
  await using nodes = await startNodes({ settings: { seal: { keys, plain: 'refuse' } } })
  const session = await Session.begin(nodes)
  const [raw] = nodes.stores
  await raw!.putState(session.id, { key: 'initialize', data: '{}', nonce: randomUUID() }, { maxKeys: 9 })
  const response = await session.request('tools/list', {}, { node: 1 })
  expect(response.status).toBe(500)
  expect(await response.text()).toContain('was altered')
  const line = nodes.logs.find(({ message }) => message.includes('was altered, or is not sealed'))
  expect(line).toMatchObject({ level: 'error', fields: { error: tampered } })
})

test.each(['inbox', 'journal'])('a call whose %s was altered ends, and nothing is made up', async (what) => {
  const settings = { seal: { keys, plain: 'refuse' as const }, maxAttempts: 1 }
  await using nodes = await startNodes({ settings })
  const session = await Session.begin(nodes)
  await using call = await session.call('wait', { gate: 'g' })
  await nodes.world.happened.until('started g')
  const [raw] = nodes.stores
  const [open] = await raw!.listOpenCalls(session.id)
  const log = `call:${open!.callId}` as const
  const [first] = (await raw!.read(session.id, log, BEGINNING, 1)) ?? []
  if (what === 'inbox') await raw!.append(session.id, `${log}:in`, 'cancelled {"reason":"planted"}', once())
  else {
    const id = `${first!.id.split('-')[0]}-2`
    await raw!.appendCall(session.id, open!.callId, [{ id, data: 'response {"result":"planted"}' }])
    await nodes.mcp(0).close({ graceMs: 0 })
  }
  const unknown = [expect.stringContaining('outcome is unknown')]
  const messages = await call.messages()
  expect(messages.map(textOf)).toEqual(what === 'inbox' ? unknown : [])
  await expect.poll(() => raw!.listOpenCalls(session.id)).toEqual([])
})

test('a result that is on its way is not given up for an inbox that was altered', async () => {
  let isEnding = () => {}
  let goOn = () => {}
  let isRead = () => {}
  const ending = new Promise<void>((resolve) => (isEnding = resolve))
  const released = new Promise<void>((resolve) => (goOn = resolve))
  const read = new Promise<void>((resolve) => (isRead = resolve))
  const wrap = (own: Store): Store => {
    const appendCall: Store['appendCall'] = async (scope, callId, entries, close, effect) => {
      if (close) {
        isEnding()
        await released
      }
      return own.appendCall(scope, callId, entries, close, effect)
    }
    const reading: Store['read'] = async (scope, log, ...rest) => {
      const entries = await own.read(scope, log, ...rest)
      if (log.endsWith(':in') && entries?.length) isRead()
      return entries
    }
    return overriding(own, { appendCall, read: reading })
  }
  await using nodes = await startNodes({ wrap, settings: { seal: { keys, plain: 'refuse' as const } } })
  const session = await Session.begin(nodes)
  await using call = await session.call('look', { gate: 'g' })
  await nodes.world.happened.until('started g')
  nodes.world.gates.open('g')
  await ending
  const [raw] = nodes.stores
  const [open] = await raw!.listOpenCalls(session.id)
  await raw!.append(session.id, `call:${open!.callId}:in`, 'cancelled {"reason":"planted"}', once())
  await read
  // Whoever would give the call back has done so by then.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  goOn()
  expect((await call.messages()).map(textOf).at(-1)).toMatch(/node-0/)
})

test('a batch that was tried too often ends, whatever its inbox holds', async () => {
  const settings = { seal: { keys, plain: 'refuse' as const }, maxAttempts: 1 }
  await using nodes = await startNodes({ settings })
  const session = await Session.begin(nodes, { version: '2025-03-26' })
  const waiting = [1, 2].map((id) => ({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: 'wait', arguments: { gate: `g${id}` } },
  }))
  await using batch = await expectStream(await session.post(waiting))
  await nodes.world.happened.until('started g2')
  const [raw] = nodes.stores
  const [open] = await raw!.listOpenCalls(session.id)
  await raw!.append(session.id, `call:${open!.callId}:in`, 'cancelled {"reason":"planted"}', once())

  const unknown: unknown = expect.stringContaining('outcome is unknown')
  expect((await batch.messages()).map(textOf)).toEqual([unknown, unknown])
})
