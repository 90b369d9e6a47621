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
  })
  await mcp.close()
})

test('of a server that keeps what it acknowledges there is nothing to warn', async () => {
  await using redis = await startSafe()
  await using opened = openStore(redis.url)
  expect(await opened.store.findRisks()).toEqual([])
})

test('a Redis before 6.2 is named, with what to use', () => {
  const found = { redis_version: '6.0.16', maxmemory_policy: 'noeviction', aof_enabled: '1' }
  const [risk, ...others] = describeRisks(found, { way: 'sharded', reason: '' })
  expect(others).toEqual([])
  expect(risk).toContain('Redis 6.0.16 is too old')
  expect(risk).toContain('Use Redis 7.0 or newer')
})

test('a user who lacks a right is told of it by name, and how nodes wake each other without it', async () => {
  await using redis = await startSafe()
  const admin = new Redis(redis.url)
  const risksOf = async (...lacking: string[]) => {
    await admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', '~*', '&*', '+@all', ...lacking)
    const user = { username: 'app', password: 'secret', enableReadyCheck: false }
    await using opened = openStore(redis.url, user)
    return await opened.store.findRisks()
  }
  const rights = /docs\/security\.md has the rights/
  expect(await risksOf('-spublish')).toEqual([
    expect.stringMatching(/no sharded pub\/sub: .*PUBLISH in its place/),
  ])
  expect(await risksOf('-ssubscribe')).toEqual([
    expect.stringMatching(/refused SSUBSCRIBE.*PUBLISH in its place/),
  ])
  expect(await risksOf('-ssubscribe', '-subscribe')).toEqual([
    expect.stringMatching(/no pub\/sub: .*SSUBSCRIBE.*every half second/),
  ])
  expect(await risksOf('-ssubscribe', '-publish')).toEqual([expect.stringMatching(/no pub\/sub/)])
  expect(await risksOf('-spublish', '-publish')).toEqual([expect.stringMatching(rights)])
  expect(await risksOf('-pubsub')).toEqual([expect.stringContaining('refuses PUBSUB SHARDNUMSUB')])
  expect(await risksOf('resetchannels')).toEqual([expect.stringMatching(/refused SSUBSCRIBE.*NOPERM/)])
  expect(await risksOf('-info')).toEqual([])
  admin.disconnect()
})
