import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { requestKeyPrefix } from '../../src/ids.js'
import { durableTool } from '../../src/index.js'
import type { DurableContext, TaskMode } from '../../src/index.js'
import { META, TASKS } from '../../src/protocol.js'
import { BEGINNING } from '../../src/store/index.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Alone } from '../support/alone.js'
import { ask, resultOf } from '../support/caller.js'
import { ASKABLE, startJobs } from '../support/jobs.js'
import { startNodes } from '../support/nodes.js'
import { expectJson } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// A node finds that a client has closed its stream, and looks whether the call is a task; it becomes one at its owner meanwhile.

const meta = { [META.clientCapabilities]: { elicitation: {}, extensions: { [TASKS]: {} } } }
const ID = 7

const start = (task: TaskMode, work: (ctx: DurableContext) => Promise<string>, store: StoreKind) => {
  const server = () => {
    const made = new McpServer({ name: 'tasks', version: '1' })
    const handler = durableTool({ task }, async (_args: object, ctx) => ({
      content: [{ type: 'text' as const, text: await work(ctx as DurableContext) }],
    }))
    made.registerTool('work', {}, handler)
    return made
  }
  return startNodes({ store, settings: { server, validateEffects: false } })
}

type Nodes = Awaited<ReturnType<typeof start>>

function leave(nodes: Nodes, callId: string) {
  const requestKey = requestKeyPrefix(ID)
  const item = encodeInboxItem({ kind: 'cancelled', requestKey, reason: 'It has left.', ofRequest: true })
  const options = { nonce: 'n', maxLength: 10, ifOpen: callId }
  return nodes.stores[1]!.append(callId, `call:${callId}:in`, item, options)
}

describe.each(STORES)('what a client without a stream leaves behind, %s', (store) => {
  test('goes on, if it is a task for its owner', async () => {
    await using nodes = await start('always', (ctx) => ask(ctx, 'name'), store)
    const client = new Alone(nodes)
    await using stream = await client.call('work', {}, { meta, id: ID })
    const created = (await stream.messages()).at(-1)
    const { taskId } = resultOf(created) as unknown as { taskId: string }
    expect(await leave(nodes, taskId)).toBeTruthy()
    const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
    const get = async () =>
      expectJson<{ result: { status: string; result?: { content: object[] } } }>(
        await client.request('tasks/get', { taskId }, { meta }),
      )
    await waitFor(async () => (await get()).result.status === 'input_required')
    await client.request('tasks/update', { taskId, inputResponses }, { meta })
    await waitFor(async () => !['working', 'input_required'].includes((await get()).result.status))
    expect((await get()).result.result?.content).toEqual([{ type: 'text', text: 'Ann' }])
  })

  test('is cancelled, if it is none', async () => {
    const happened = new Happenings()
    const work = async (ctx: DurableContext) => {
      ctx.signal.addEventListener('abort', () => happened.add('stopped'))
      await ctx.progress(1)
      await happened.until('never')
      return ''
    }
    await using nodes = await start('never', work, store)
    const client = new Alone(nodes)
    await using stream = await client.call('work', {}, { meta, id: ID })
    const primed = await stream.next()
    const callId = primed?.id?.split('.')[0] ?? ''
    expect(await leave(nodes, callId)).toBeTruthy()
    await happened.until('stopped')
    expect((await stream.messages()).at(-1)).toHaveProperty('error')
  })
})

test('a client that knows no tasks, and comes back once its call has become one, gets the answer of its tool', async () => {
  await using nodes = await startJobs({
    task: 'auto',
    work: async (ctx) => {
      await sleep(60_000, undefined, { signal: ctx.signal })
      return ''
    },
    settings: { eras: ['2026-07-28'], taskAfterMs: 100 },
  })
  const client = new Alone(nodes)
  const gone = new AbortController()
  const stream = await client.call('work', {}, { meta: ASKABLE, signal: gone.signal })
  const first = await stream.next()
  gone.abort()
  const [callId = ''] = String(first?.id).split('.')
  await waitFor(async () => {
    const journal = await nodes.stores[1]!.read(callId, `call:${callId}`, BEGINNING, 100)
    return journal?.some(({ data }) => data.startsWith('task'))
  })
  await using resumed = await client.stream(first?.id, { node: 1 })
  const result = resultOf((await resumed.messages()).at(-1))
  expect(result).toMatchObject({ content: [{ type: 'text' }] })
  expect(result.resultType).not.toBe('task')
})
