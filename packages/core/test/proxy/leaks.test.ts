import { expect, test } from 'vitest'
import type { Store } from '../../src/store/store.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { startPassing } from '../support/passing.js'
import { initialize, Session } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// A session of an upstream that nobody can come back to is ended there.

test('one that is refused here for the limit', async () => {
  const settings = { maxSessionsPerPrincipal: 1, evictSessions: false, principal: () => 'me' }
  await using nodes = await startNodes({ host: 'upstream', count: 1, settings })
  const session = await Session.begin(nodes)
  const refused = await initialize(nodes)
  expect(refused.status).toBe(429)
  await waitFor(() => nodes.upstream!.requests.some(({ method }) => method === 'DELETE'))
  await waitFor(() => nodes.wrapped[0]?.sessions.size === 1)
  expect(await session.result('echo', { text: 'still here' })).toBe('still here')
})

test('one that could not be stored', async () => {
  const wrap = (own: Store): Store =>
    Object.assign(Object.create(own) as Store, {
      createSession: () => Promise.reject(new Error('away')),
    })
  await using nodes = await startNodes({ host: 'upstream', count: 1, wrap })
  expect((await initialize(nodes)).status).toBe(500)
  await waitFor(() => nodes.upstream!.requests.some(({ method }) => method === 'DELETE'))
  await waitFor(() => nodes.wrapped[0]?.sessions.size === 0)
})

test('that of a call without a session that goes on at another node, and is cancelled there', async () => {
  await using nodes = await startPassing({
    alone: undefined as never,
    settings: { onDisconnect: { cancelAfterMs: 100 } },
  })
  const client = new Alone(nodes)
  await using stream = await client.call('look', { gate: 'g' })
  const priming = await stream.next()
  await nodes.world.happened.until('started g')
  await nodes.mcp(0).close({ graceMs: 0 })
  await waitFor(() => nodes.upstream!.requests.some(({ headers }) => headers.has('last-event-id')))
  {
    await using resumed = await client.stream(priming?.id, { node: 1 })
    await resumed.next()
  }
  await nodes.world.happened.until('aborted g')
  await waitFor(() => nodes.wrapped[0]?.sessions.size === 0)
})
