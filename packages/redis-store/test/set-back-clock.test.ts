import { expect, test } from 'vitest'
import { openStore } from './support.js'

test('a node that was dead before the clock of Redis was set back gets late', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  for (const node of ['left', 'dead', 'alive']) await store.beat(node)
  await store.leave('left')
  await client.zadd(`${prefix}:{nodes}`, Date.now() + 3_600_000, 'dead')
  const lateMs = async () => {
    const nodes = await store.listNodes()
    return Object.fromEntries(nodes.map((beat) => [beat.node, beat.lateMs]))
  }
  expect((await lateMs())['dead']).toBeLessThan(0)
  await store.beat('alive')
  expect(await lateMs()).toMatchObject({ left: Number.POSITIVE_INFINITY })
  expect((await lateMs())['dead']).toBeGreaterThanOrEqual(0)
})
