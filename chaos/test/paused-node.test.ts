import { randomUUID } from 'node:crypto'
import { sessionIdOf } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { waitFor } from '../../test-support/index.js'
import { startNode } from '../src/node-pool.js'
import { ObservedCall } from '../src/observed-call.js'
import type { Args } from '../src/observed-call.js'
import { RawClient } from '../src/raw-client.js'

const url = process.env['REDIS_URL'] ?? ''

// So many that taking over from a node lasts long enough to be met in the middle.
const SESSIONS = 200
const SETTINGS = { heartbeatMs: 200, leaseMs: 1000, sweepMs: 200, validateEffects: false }

test('a node that comes back while it is taken over from can still be taken over from later', async () => {
  const prefix = `paused-${randomUUID()}`
  const flags = { store: url, prefix, ledger: '/dev/null', settings: SETTINGS }
  const redis = new Redis(url)
  const [paused, sweeper] = await Promise.all([startNode(flags), startNode(flags)])
  onTestFinished(async () => {
    redis.disconnect()
    await Promise.all([paused, sweeper].map((node) => node.process.kill('SIGKILL')))
  })
  const endpoint = new URL('/mcp', paused.process.url)
  const clients: RawClient[] = []
  const callAll = (steps: Args) =>
    clients.map((client, index) =>
      client.call(
        new ObservedCall(`${index}`, 'ledger_steps', { id: `${index}`, ...steps }, { official: false }),
      ),
    )
  for (let index = 0; index < SESSIONS; index++) {
    clients.push(await RawClient.connect({ fetch, url: endpoint, answer: () => '' }))
  }
  await Promise.all(callAll({ steps: 1 }))

  const held = `${prefix}:{nodes}:${paused.id}`
  paused.process.pause()
  await waitFor(async () => (await redis.scard(held)) < SESSIONS - 10, { intervalMs: 1 })
  paused.process.resume()
  await waitFor(async () => (await redis.scard(held)) === SESSIONS, { timeoutMs: 3_000 }).catch(
    () => undefined,
  )
  void callAll({ steps: 2, delayMs: 60_000 })
  const owned = async () => {
    const sessions = clients.map(({ sessionId }) => redis.hvals(`${prefix}:{${sessionIdOf(sessionId)}}`))
    return (await Promise.all(sessions)).filter((values) => values.includes(paused.id)).length
  }
  await waitFor(async () => (await owned()) === SESSIONS, { what: 'every session has an open call' })
  await paused.process.kill('SIGKILL')

  await waitFor(async () => (await owned()) === 0, { what: 'the calls of the dead node are taken over' })
  expect(await owned()).toBe(0)
})
