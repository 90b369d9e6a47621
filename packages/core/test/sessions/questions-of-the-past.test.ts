import { ListRootsResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, test } from 'vitest'
import { encodeRecord } from '../../src/call/record.js'
import { SDKS, startNodes } from '../support/nodes.js'
import { initialize, Session, textOf } from '../support/session.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// A handler asks by the SDK, and its run is over before it has an answer.

test.each(SDKS.flatMap((sdk) => [true, false].map((cancelled) => ({ sdk, cancelled }))))(
  'a server that has asked what nobody answers goes when it is idle, $sdk, cancelled: $cancelled',
  async ({ sdk, cancelled }) => {
    await using nodes = await startNodes({ sdk, count: 1, settings: { serverIdleMs: 100, maxServers: 1 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('ask_briefly', { related: true }, { id: 'asking' })
    await stream.nextMessage()
    if (cancelled) await session.notify('notifications/cancelled', { requestId: 'asking' })
    await stream.messages()
    // There is room for one.
    await waitFor(() => Session.begin(nodes))
  },
)

test('a server whose session has expired goes, though its client has never answered it', async () => {
  const server = () => {
    const made = new McpServer({ name: 'asking', version: '1' })
    made.server.oninitialized = () =>
      void made.server.listRoots(undefined, { timeout: 3_600_000 }).catch(() => undefined)
    return made
  }
  const settings = { server, serverIdleMs: 100, sessionTtlMs: 1000, maxServers: 1 }
  await using nodes = await startNodes({ count: 1, settings })
  const session = await Session.begin(nodes, { capabilities: { roots: {} } })
  const stream = await session.stream()
  expect((await stream.nextMessage()).message).toMatchObject({ method: 'roots/list' })
  await stream[Symbol.asyncDispose]()
  // There is room for one.
  await waitFor(async () => (await initialize(nodes)).status === 200)
})

test('what an earlier run on the same node gives up is not taken from the run that goes on', async () => {
  const happened = new Happenings()
  const server = () => {
    const made = new McpServer({ name: 'asking', version: '1' })
    const annotations = { readOnlyHint: true }
    made.registerTool('ask', { annotations }, async (extra) => {
      happened.add('run')
      extra.signal.addEventListener('abort', () => happened.add('stopped'))
      const timeout = happened.count('run') === 1 ? 2000 : 60_000
      const asked = extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema, { timeout })
      const answer = await asked.finally(() => happened.add('given up or answered'))
      return { content: [{ type: 'text' as const, text: JSON.stringify(answer) }] }
    })
    return made
  }
  await using nodes = await startNodes({ count: 1, settings: { server } })
  const session = await Session.begin(nodes)
  await using stream = await session.call('ask', {})
  const priming = await stream.next()
  const { message } = await stream.nextMessage()
  // Another node takes it over, and dies; this one takes it back.
  const [store] = nodes.stores
  const [open] = await store!.listOpenCalls(session.id)
  const gone = 'n'.repeat(22)
  const data = encodeRecord({ kind: 'claim', claim: { node: gone, nonce: 'x' } })
  await store!.claimCall(session.id, open!.callId, { from: open!.owner, to: gone, data })
  await happened.until('stopped')
  await using resumed = await session.stream(priming?.id)
  await happened.until('run', 2)
  await happened.until('given up or answered')
  await session.answer((message as { id: string }).id, { roots: [] })
  const last = (await resumed.messages()).at(-1)
  expect(textOf(last)).toBe('{"roots":[]}')
})
