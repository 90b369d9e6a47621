import { randomUUID } from 'node:crypto'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { expect, test } from 'vitest'
import { spawnNode, waitFor } from '../test-support/index.js'

// Users of the SDK's own `createMcpHandler`, with an event bus on Redis that several processes share.

test('the official client hears in one process what has changed in another, once', async () => {
  const start = (prefix: string) =>
    spawnNode('tests/dist/shared-bus.js', [process.env['REDIS_URL'] ?? '', prefix])
  const prefix = `test-${randomUUID()}`
  await using first = await start(prefix)
  await using second = await start(prefix)
  await using stranger = await start(`test-${randomUUID()}`)
  const client = new Client(
    { name: 'listener', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  const heard: string[] = []
  client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'))
  client.setNotificationHandler(
    'notifications/resources/updated',
    ({ params }) => void heard.push(params.uri),
  )
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', first.url)))
  const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: ['test://r'] })
  const once = ['tools', 'test://r']
  await fetch(new URL('/changed', stranger.url), { method: 'POST' })
  await fetch(new URL('/changed', second.url), { method: 'POST' })
  await waitFor(() => heard.length >= 2)
  await fetch(new URL('/changed', first.url), { method: 'POST' })
  await waitFor(() => heard.length >= 4)
  expect(heard).toEqual([...once, ...once])
  await subscription.close()
  await client.close()
})
