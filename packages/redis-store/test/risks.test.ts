import { durable } from '@mcp-durable/core'
import type { Logger } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { describeRisks } from '../src/risks.js'
import { openStore } from './support.js'

const server = () => {
  throw new Error('no client comes')
}

function listen() {
  const warnings: string[] = []
  const logger: Logger = {
    error: () => undefined,
    warn: (_fields, message) => void warnings.push(message),
    info: () => undefined,
    debug: () => undefined,
  }
  return { warnings, logger }
}

const startSafe = (config: Record<string, string> = {}) => startRedis({ aof: 'everysec', config })

test.each([
  ['maxmemory-policy', 'allkeys-lru', 'CONFIG SET maxmemory-policy noeviction'],
  ['appendonly', 'no', 'CONFIG SET appendonly yes'],
])('a node warns once, at its start, of %s %s', async (setting, value, advice) => {
  await using redis = await startSafe({ [setting]: value })
  await using opened = openStore(redis.url)
  const { warnings, logger } = listen()
  const mcp = durable({ server, store: opened.store, logger })
  await waitFor(() => warnings.length > 0, { what: 'the warning' })
  expect(warnings[0]).toContain(`${setting} ${value}`)
  expect(warnings[0]).toContain(advice)
  await mcp.close()
  expect(warnings).toHaveLength(1)
})

test('also when Redis comes later', async () => {
  await using redis = await startSafe({ 'maxmemory-policy': 'volatile-ttl' })
  await redis.kill()
  await using opened = openStore(redis.url, { deadlineMs: 200 })
  const { warnings, logger } = listen()
  const mcp = durable({ server, store: opened.store, logger })
  await redis.restart()
  await waitFor(() => warnings.some((text) => text.includes('volatile-ttl')), {
    what: 'the warning',
    timeoutMs: 20_000,
  })
  await mcp.close()
})

test('of a server that keeps what it acknowledges there is nothing to warn', async () => {
  await using redis = await startSafe()
  await using opened = openStore(redis.url)
  expect(await opened.store.findRisks()).toEqual([])
})

test('a Redis before 7.0 is named, with what to use', async () => {
  const [risk, ...others] = describeRisks(['6.2.14', 'noeviction', '1', 'ERR unknown', 'ERR unknown'])
  expect(others).toEqual([])
  expect(risk).toContain('Redis 6.2.14 is too old')
  expect(risk).toContain('Use Redis 7.0 or newer')
})

test('a user who lacks a right is told of it by name', async () => {
  await using redis = await startSafe()
  const admin = new Redis(redis.url)
  const mayAll = ['on', '>secret', '~*', '&*', '+@all']
  await admin.call('ACL', 'SETUSER', 'mute', ...mayAll, '-spublish')
  await admin.call('ACL', 'SETUSER', 'blind', ...mayAll, '-pubsub')
  await admin.call('ACL', 'SETUSER', 'shy', ...mayAll, '-info')
  const risksOf = async (username: string) => {
    await using opened = openStore(redis.url, { username, password: 'secret', enableReadyCheck: false })
    return await opened.store.findRisks()
  }
  expect(await risksOf('mute')).toEqual([expect.stringMatching(/refuses SPUBLISH.*docs\/security\.md/)])
  expect(await risksOf('blind')).toEqual([expect.stringContaining('refuses PUBSUB SHARDNUMSUB')])
  expect(await risksOf('shy')).toEqual([])
  admin.disconnect()
})
