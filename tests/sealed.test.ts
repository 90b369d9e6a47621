import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { System } from './support/system.js'

// Nodes with sealed payloads are killed while the keys change, and nothing is lost, nor read by who has no key.

const newKey = () => randomBytes(32).toString('base64')

test('keys are rotated, one SIGKILL after the other', async () => {
  const [old, next] = [newKey(), newKey()]
  await using system = await System.start({ nodes: 0 })
  const add = (...keys: string[]) =>
    system.add(['--options', JSON.stringify({ retryMs: 20, seal: { keys, plain: 'refuse' } })])

  const first = await add(old)
  const router = await system.router(first)
  const client = await (await system.client(1, router)).listens()
  const mark = 'Zebra7391'
  const looking = client.call('look', { gate: mark })
  await system.recorded('look', mark)

  // The new key is known to all before it seals anything.
  const second = await add(old, next)
  router.others(second)
  await first.kill('SIGKILL')
  await expect.poll(async () => (await system.ledger('look', mark)).length).toBe(2)

  // It seals, while what the old one has sealed is still read: the call goes on from there.
  const third = await add(next, old)
  router.others(third)
  await second.kill('SIGKILL')
  await expect.poll(async () => (await system.ledger('look', mark)).length).toBe(3)
  await client.call('announce', { text: `told-${mark}` })
  await client.hears(`told-${mark}`)
  await system.openGate(mark)
  expect(await looking).toEqual({ text: mark, pid: third.pid })

  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const stored = await everything(redis, system.prefix).finally(() => redis.disconnect())
  expect(new Set(stored.match(/sealed:1:[0-9a-f]{8}/g)).size).toBe(2)
  expect(stored).not.toContain(mark)
})

async function everything(redis: Redis, prefix: string): Promise<string> {
  const found: unknown[] = []
  for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
    for (const key of keys as string[]) {
      const type = await redis.type(key)
      if (type === 'hash') found.push(await redis.hgetall(key))
      if (type === 'stream') found.push(await redis.xrange(key, '-', '+'))
      if (type === 'string') found.push(await redis.get(key))
      if (type === 'zset') found.push(await redis.zrange(key, '0', '-1'))
      found.push(key)
    }
  }
  return JSON.stringify(found)
}
