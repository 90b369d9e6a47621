import { assertCrashSafe, crashTest } from '@mcp-durable/core/testing'
import { expect, test } from 'vitest'
import { world } from './world.js'

test('an order survives a crash at each of its steps', async () => {
  const report = await crashTest(
    world,
    { item: 'a book', to: 'ann@example.com' },
    { answers: { sure: { action: 'accept', content: {} } } },
  )
  assertCrashSafe(report)
  expect(report.effects).toEqual({ charge: 1, mail: 1 })
})
