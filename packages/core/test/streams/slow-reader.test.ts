import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { messagesOf } from '../support/event-reader.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { PausedClient } from '../support/paused-client.js'
import { dataOf, Session, textOf } from '../support/session.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { waitFor } from '../../../../test-support/index.js'

const COUNT = 400
const CHARS = 64 * 1024
/** Far less than is sent, far more than one event. */
const BOUND = 1024 * 1024
const LARGE = 12_000_000
const flood = { count: COUNT, chars: CHARS }

describe.each(['node', 'hono'] as const)('[G-12] a client that does not read, %s', (adapter) => {
  test('costs little memory and holds nobody up', async () => {
    await using nodes = await startNodes({ adapter })
    const sockets = socketsOf(nodes)
    const session = await Session.begin(nodes)
    await using paused = await PausedClient.call(session, nodes.endpoint(0), 'flood', flood)
    await nodes.world.happened.until('flooded')
    expect(Math.max(...[...sockets].map((socket) => socket.writableLength))).toBeLessThan(BOUND)
    expect(await session.result('echo', { text: 'others go on' })).toBe('others go on')
    await using reader = paused.read()
    expectAll(await reader.messages())
  })

  test('is ended in the end, and resumes with nothing lost', async () => {
    await using nodes = await startNodes({
      adapter,
      settings: { keepAliveMs: 200, stallTimeoutMs: 200, maxOpenStreams: 1 },
    })
    const session = await Session.begin(nodes)
    await using paused = await PausedClient.call(session, nodes.endpoint(0), 'flood', flood)
    await nodes.world.happened.until('flooded')
    await stalledStreamEnded(session)
    await using reader = paused.read()
    // What was on its way may still come, or the connection was cut.
    await reader.rest().catch(() => undefined)
    const before = messagesOf(reader.seen)
    expect(before.length).toBeLessThan(COUNT)
    expectAll([...before, ...(await restOf(session, reader.seen.at(-1)?.id))])
  })

  test.each([
    ['many events', 'flood', flood],
    ['a large event, and more follow', 'flood', { count: 1, chars: LARGE }],
    ['the last event, a large one', 'big', { chars: LARGE }],
  ])('is disconnected if it never takes %s', async (_what, tool, args) => {
    await using nodes = await startNodes({ adapter, settings: { keepAliveMs: 200, stallTimeoutMs: 200 } })
    const sockets = socketsOf(nodes)
    const session = await Session.begin(nodes)
    await using paused = await PausedClient.call(session, nodes.endpoint(0), tool, args)
    const stuck = [...sockets].at(-1)
    expect(stuck).toBeDefined()
    if (stuck && !stuck.destroyed) await once(stuck, 'close', { signal: AbortSignal.timeout(10_000) })
    expect(paused).toBeDefined()
  })

  test('is left alone while it takes some of a large event now and then', async () => {
    await using nodes = await startNodes({ adapter, settings: { keepAliveMs: 200, stallTimeoutMs: 3000 } })
    const session = await Session.begin(nodes)
    await using paused = await PausedClient.call(session, nodes.endpoint(0), 'big', { chars: LARGE })
    // All of it takes twice as long as a client may take nothing.
    expect(await paused.takeSlowly(LARGE / 24, 250)).toBeGreaterThan(LARGE)
  })
})

/** As clients do it: on a busy machine this reader may be slow itself, is ended, and comes back. */
async function restOf(session: Session, lastEventId: string | undefined): Promise<JsonRpcMessage[]> {
  const messages: JsonRpcMessage[] = []
  for (let last = lastEventId; ;) {
    await using resumed = await session.stream(last, { node: 1 })
    const isWhole = await resumed.rest().then(
      () => true,
      () => false,
    )
    messages.push(...messagesOf(resumed.seen))
    last = resumed.seen.at(-1)?.id ?? last
    if (isWhole) return messages
  }
}

function expectAll(messages: JsonRpcMessage[]) {
  const numbers = messages.slice(0, -1).map((message) => Number(String(dataOf(message)).split(' ', 1)[0]))
  expect(numbers).toEqual(Array.from({ length: COUNT }, (_, n) => n + 1))
  expect(textOf(messages.at(-1))).toBe(`flooded ${COUNT}`)
}

function socketsOf(nodes: Nodes): Set<Socket> {
  const sockets = new Set<Socket>()
  for (const { server } of nodes.endpoints) {
    server?.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
  }
  return sockets
}

/** With a cap of one open stream, another opens once the node has let go of the stalled one. */
async function stalledStreamEnded(session: Session) {
  await waitFor(async () => {
    const response = await session.get()
    await response.body?.cancel()
    return response.status === 200
  })
}
