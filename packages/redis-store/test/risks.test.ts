import { durable } from '@mcp-durable/core'
import type { Logger } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
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

test('a node warns once, at its start, of a maxmemory-policy that deletes sessions', async () => {
  await using redis = await startRedis({ config: { 'maxmemory-policy': 'allkeys-lru' } })
  await using opened = openStore(redis.url)
  const { warnings, logger } = listen()
  const mcp = durable({ server, store: opened.store, logger })
  await waitFor(() => warnings.length > 0, { what: 'the warning' })
  expect(warnings[0]).toContain('maxmemory-policy allkeys-lru')
  expect(warnings[0]).toContain('CONFIG SET maxmemory-policy noeviction')
  await mcp.close()
  expect(warnings).toHaveLength(1)
})

test('also when Redis comes later', async () => {
  await using redis = await startRedis({ config: { 'maxmemory-policy': 'volatile-ttl' } })
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

test('of noeviction there is nothing to warn', async () => {
  await using opened = openStore()
  expect(await opened.store.findRisks()).toEqual([])
  expect(await redisStore(opened.client).findRisks()).toEqual([])
})
