import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { durableTool } from '../../src/index.js'
import type { DurableContext, TaskMode } from '../../src/index.js'
import { TASKS } from '../../src/protocol.js'
import { ASLEEP, NOBODY } from '../../src/store/index.js'
import { ask } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { expectJson, expectStream } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { errorOf, resultOf, Taker, TAKES_NONE, TAKES_TASKS } from '../support/taker.js'
import type { Task } from '../support/taker.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

type Work = (ctx: DurableContext) => Promise<string>

function start(
  work: Work,
  { task = 'always', settings, ...options }: NodesOptions & { task?: TaskMode } = {},
) {
  const server = () => {
    const made = new McpServer({ name: 'tasks', version: '1' })
    const handler = durableTool({ task }, async (_args: { text: string }, ctx) => ({
      content: [{ type: 'text' as const, text: await work(ctx as DurableContext) }],
    }))
    made.registerTool('work', { inputSchema: { text: z.string() } }, handler)
    made.registerTool('plain', {}, () => ({ content: [{ type: 'text', text: 'plain' }] }))
    return made
  }
  return startNodes({ ...options, settings: { server, validateEffects: false, ...settings } })
}

describe.concurrent.each(STORES)('tasks, %s', (store) => {
  test('a call is told of as a task, and its result is there for whoever asks any node', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.progress(1, 2, 'half')
      await happened.until('go')
      return 'done'
    }
    await using nodes = await start(work, { store })
    const taker = new Taker(nodes)
    const created = await taker.call()
    expect(created).toMatchObject({ resultType: 'task', status: 'working', ttlMs: 24 * 60 * 60_000 })
    expect(created).not.toHaveProperty('result')
    expect(await taker.get(created, { node: 1 })).toMatchObject({ resultType: 'complete', status: 'working' })
    happened.add('go')
    const { result } = await taker.until(created, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('done')
  })

  test('one that ends soon is none, and one of a client that takes none never is', async () => {
    await using nodes = await start(async () => 'soon', { store, task: 'auto' })
    const taker = new Taker(nodes)
    expect(await taker.call()).toMatchObject({ resultType: 'complete' })
    expect(await taker.call({ meta: TAKES_NONE })).toMatchObject({ resultType: 'complete' })
    expect(await taker.call({}, 'plain')).toMatchObject({ resultType: 'complete' })
  })

  test('one that takes long becomes a task, and its client may go', async () => {
    const happened = new Happenings()
    const work: Work = async () => {
      await happened.until('go')
      return 'late'
    }
    const settings = { taskAfterMs: 20, onDisconnect: 'cancel' as const }
    await using nodes = await start(work, { store, task: 'auto', settings })
    const taker = new Taker(nodes)
    const created = await taker.call()
    expect(created).toMatchObject({ resultType: 'task', status: 'working' })
    happened.add('go')
    expect((await taker.until(created, 'completed')).result?.content[0]?.text).toBe('late')
  })

  test('what it asks is answered on any node, a part at a time, and asked once', async () => {
    const work: Work = async (ctx) => (await Promise.all([ask(ctx, 'first'), ask(ctx, 'second')])).join(' ')
    await using nodes = await start(work, { store })
    const taker = new Taker(nodes)
    const created = await taker.call()
    const asked = async () => Object.keys((await taker.get(created, { node: 1 })).inputRequests ?? {})
    // One may be seen before the other.
    await waitFor(async () => (await asked()).length === 2)
    const [first = '', second = ''] = await asked()
    const answer = (key: string, value: string) =>
      taker.about('update', created.taskId, {
        inputResponses: { [key]: { action: 'accept', content: { value } }, unknown: { action: 'decline' } },
      })
    expect(resultOf(await expectJson(await answer(first, 'one')))).toMatchObject({ resultType: 'complete' })
    expect(Object.keys((await taker.get(created)).inputRequests ?? {})).toEqual([second])
    await answer(first, 'other')
    await answer(second, 'two')
    const { result } = await taker.until(created, 'completed')
    expect(result?.content[0]?.text).toBe('one two')
  })

  test('a question before it is a task is answered first', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      const name = await ask(ctx, 'name')
      await happened.until('go')
      return name
    }
    await using nodes = await start(work, { store, task: 'required', settings: { taskAfterMs: 1000 } })
    const taker = new Taker(nodes)
    const asked = (await taker.call()) as Task & { requestState: string }
    expect(asked.resultType).toBe('input_required')
    const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
    const more = { inputResponses, requestState: asked.requestState }
    const created = await taker.call({ more, node: 1 })
    expect(created.resultType).toBe('task')
    happened.add('go')
    expect((await taker.until(created, 'completed')).result?.content[0]?.text).toBe('Ann')
  })

  test('it is cancelled on any node, once it runs and when it has ended', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      ctx.signal.addEventListener('abort', () => happened.add('stopped'))
      await happened.until('never')
      return ''
    }
    await using nodes = await start(work, { store })
    const taker = new Taker(nodes)
    const created = await taker.call()
    for (let again = 0; again < 2; again++) {
      const response = await taker.about('cancel', created.taskId, {}, { node: 1 })
      expect(resultOf(await expectJson(response))).toMatchObject({ resultType: 'complete' })
      await happened.until('stopped')
      expect(await taker.until(created, 'cancelled')).not.toHaveProperty('result')
    }
  })

  test('it belongs to its principal, and an unknown one is like a foreign one', async () => {
    await using nodes = await start(async () => 'mine', { store })
    const taker = new Taker(nodes)
    const created = await taker.call({ who: 'alice/1' })
    await taker.until(created, 'completed', { who: 'alice/2' })
    const foreign = await errorOf(await taker.about('get', created.taskId, {}, { who: 'bob/1' }))
    const unknown = await errorOf(await taker.about('get', 'A'.repeat(22), {}, { who: 'bob/1' }))
    expect(foreign).toEqual(unknown)
    expect(foreign).toMatchObject({ status: 400, code: -32602 })
    for (const taskId of [undefined, 7, '', '../x'])
      expect(await errorOf(await taker.about('cancel', taskId, {}, { who: 'bob/1' }))).toEqual(unknown)
  })

  test('who asks must take tasks; the name in the header may be missing, and not wrong', async () => {
    await using nodes = await start(async () => 'done', { store, task: 'required' })
    const taker = new Taker(nodes)
    const refused = await errorOf(
      await taker.client.request(
        'tools/call',
        { name: 'work', arguments: { text: '' } },
        { meta: TAKES_NONE },
      ),
    )
    const requiredCapabilities = { extensions: { [TASKS]: {} } }
    expect(refused).toMatchObject({ status: 400, code: -32021, data: { requiredCapabilities } })
    const about = await errorOf(await taker.about('get', 'A'.repeat(22), {}, { meta: TAKES_NONE }))
    expect(about).toMatchObject({ code: -32021, data: { requiredCapabilities } })
    const wrong = { headers: { 'mcp-name': 'other' } }
    const misnamed = await errorOf(await taker.about('get', 'A'.repeat(22), {}, wrong))
    expect(misnamed).toMatchObject({ status: 400, code: -32020 })
  })

  test('a task that runs for longer than it is kept is cancelled, and then gone', async () => {
    const settings = { taskTtlMs: 200, resumeWindowMs: 2000, sessionTtlMs: 60_000 }
    await using nodes = await start((ctx) => new Promise(() => ctx.signal), { store, settings })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await taker.until(created, 'cancelled')
    await waitFor(async () => (await taker.about('get', created.taskId)).status === 400)
  })

  test('who listens hears how it is, on any node, and of no foreign one', async () => {
    const work: Work = (ctx) => ask(ctx, 'name')
    await using nodes = await start(work, { store })
    const taker = new Taker(nodes)
    const [own, foreign] = [await taker.call({ who: 'ann/1' }), await taker.call({ who: 'bob/1' })]
    const taskIds = [foreign.taskId, own.taskId, own.taskId, 'A'.repeat(22), 7]
    const where = { who: 'ann/1', node: 1, id: 'l', meta: TAKES_TASKS }
    const request = taker.client.request('subscriptions/listen', { notifications: { taskIds } }, where)
    await using stream = await expectStream(await request)
    const { id, message } = await stream.nextMessage()
    expect(message).toMatchObject({ params: { notifications: { taskIds: [own.taskId] } } })
    const heard: string[] = []
    const hear = async (from: typeof stream) => {
      const { params } = (await from.nextMessage()).message as unknown as { params: Task }
      expect(params).toMatchObject({ taskId: own.taskId })
      heard.push(params.status)
    }
    while (heard.at(-1) !== 'input_required') await hear(stream)
    await using resumed = await taker.client.stream(id, where)
    await hear(resumed)
    expect(heard.at(-1)).toBe('input_required')
    const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
    await taker.about('update', own.taskId, { inputResponses }, { who: 'ann/1' })
    while (heard.at(-1) !== 'completed') await hear(resumed)
    const none = { ...where, meta: TAKES_NONE }
    const refused = taker.client.request('subscriptions/listen', { notifications: { taskIds } }, none)
    expect(await errorOf(await refused)).toMatchObject({ code: -32021 })
  })

  test('the same key is the same task', async () => {
    const happened = new Happenings()
    const work: Work = async () => {
      happened.add('run')
      return 'once'
    }
    await using nodes = await start(work, { store })
    const taker = new Taker(nodes)
    const where = { who: 'alice/1', headers: { 'idempotency-key': 'order-1' } }
    const created = await taker.call(where)
    await taker.until(created, 'completed', where)
    expect((await taker.call({ ...where, node: 1 })).taskId).toBe(created.taskId)
    expect(happened.all).toEqual(['run'])
  })
})

describe.concurrent.each(STORES)('a task that sleeps, %s', (store) => {
  const LONG_MS = 60_000
  const settings = { serverIdleMs: 50 }

  async function ownerOf(nodes: Nodes, { taskId }: Task) {
    const [scope = ''] = taskId.split(':')
    return (await nodes.stores[0]!.listOpenCalls(scope))[0]?.owner
  }

  test('is asked for as often as anybody likes, and woken for its time only', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      happened.add('run')
      await ctx.sleep('nap', 2500)
      return 'woken'
    }
    await using nodes = await start(work, { store, settings })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await waitFor(async () => (await ownerOf(nodes, created)) === ASLEEP)
    for (const node of [0, 1, 0, 1]) expect((await taker.get(created, { node })).status).toBe('working')
    expect(await ownerOf(nodes, created)).toBe(ASLEEP)
    expect(happened.count('run')).toBe(1)
    const { result } = await taker.until(created, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('woken')
    expect(happened.count('run')).toBe(2)
  })

  test('is cancelled at once on any node', async () => {
    await using nodes = await start((ctx) => ctx.sleep('long', LONG_MS).then(() => ''), { store, settings })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await waitFor(async () => (await ownerOf(nodes, created)) === ASLEEP)
    await expectJson(await taker.about('cancel', created.taskId, {}, { node: 1 }))
    await taker.until(created, 'cancelled')
    expect(await ownerOf(nodes, created)).toBeUndefined()
  })

  test('ends when it is over, although it sleeps for longer', async () => {
    const limited = { ...settings, taskTtlMs: 3000, resumeWindowMs: 60_000 }
    await using nodes = await start((ctx) => ctx.sleep('long', LONG_MS).then(() => ''), {
      store,
      settings: limited,
    })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await waitFor(async () => (await ownerOf(nodes, created)) === ASLEEP)
    await taker.until(created, 'cancelled')
  })

  test('is not run to be told of while it waits for its client', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      happened.add('run')
      return ask(ctx, 'name')
    }
    await using nodes = await start(work, { store, settings })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await waitFor(async () => (await ownerOf(nodes, created)) === NOBODY)
    const asking = await taker.get(created, { node: 1 })
    expect(asking.status).toBe('input_required')
    await taker.get(created, { node: 0 })
    expect(await ownerOf(nodes, created)).toBe(NOBODY)
    expect(happened.count('run')).toBe(1)
    const [key = ''] = Object.keys(asking.inputRequests ?? {})
    const inputResponses = { [key]: { action: 'accept', content: { value: 'Ann' } } }
    await expectJson(await taker.about('update', created.taskId, { inputResponses }, { node: 1 }))
    const { result } = await taker.until(created, 'completed')
    expect(result?.content[0]?.text).toBe('Ann')
  })

  test('before it is a task, a call that sleeps is not parked: its client waits to hear of one', async () => {
    const work: Work = (ctx) => ctx.sleep('long', LONG_MS).then(() => '')
    const late = { ...settings, taskAfterMs: 600 }
    await using nodes = await start(work, { store, settings: late, task: 'auto' })
    const created = await new Taker(nodes).call()
    expect(created).toMatchObject({ resultType: 'task', status: 'working' })
    await waitFor(async () => (await ownerOf(nodes, created)) === ASLEEP)
  })
})

test('options of a durable tool are checked', () => {
  const wrong = (options: object) => () => durableTool(options, () => ({}))
  expect(wrong({ taks: 'auto' })).toThrow('Did you mean `task`?')
  expect(wrong({ task: 'sometimes' })).toThrow('must be one of auto, always, never, required')
})
