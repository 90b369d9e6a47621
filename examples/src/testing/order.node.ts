import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertCrashSafe, crashTest } from '@mcp-durable/core/testing'
import { world } from './world.js'

await test('an order survives a crash at each of its steps', async () => {
  const report = await crashTest(
    world,
    { item: 'a book', to: 'ann@example.com' },
    { answers: { sure: { action: 'accept', content: {} } } },
  )
  assertCrashSafe(report)
  assert.deepEqual(report.effects, { charge: 1, mail: 1 })
})
