import { describe, expect, test } from 'vitest'
import { Alone } from './support/alone.js'
import { ask, Caller } from './support/caller.js'
import { callsIn, clientOf, ERAS, resultOf, startJobs, textIn } from './support/jobs.js'
import type { Calls, JobOptions, Result, Work } from './support/jobs.js'
import { Session } from './support/session.js'
import { STORES } from './support/stores.js'
import { Taker } from './support/taker.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'

// Calls of clients that know no tasks, and go on as tasks.

const CASES = STORES.flatMap((store) => ERAS.map((era) => [store, era] as const))
const SOON = { taskAfterMs: 20 }

/** A tool that works until it is told to end. */
function job() {
  const happened = new Happenings()
  const work: Work = async (ctx) => {
    happened.add('begun')
    ctx.signal.addEventListener('abort', () => happened.add('stopped'))
    await happened.until('go')
    return 'the result'
  }
  return { happened, work }
}

const taskIn = ({ structuredContent }: Result) => structuredContent?.taskId ?? ''

async function until(call: Calls, taskId: string, status: string) {
  let seen: Result | undefined
  await waitFor(async () => {
    seen = await call('task_status', { taskId })
    return seen.structuredContent?.status === status
  })
  return seen!
}

describe.each(CASES)('a long job, %s, of a client of %s', (store, era) => {
  test.each(['auto', 'always'] as const)('is a task (%s), whose result another client gets', async (task) => {
    const { happened, work } = job()
    const settings = { ...(task === 'auto' && SOON), onDisconnect: 'cancel' as const }
    await using nodes = await startJobs({ work, task, store, settings })
    const begun = await (await clientOf(nodes, era))('work')
    expect(begun.structuredContent).toMatchObject({ status: 'working', ttlMs: 24 * 60 * 60_000 })
    const taskId = taskIn(begun)
    for (const name of [taskId, 'task_status', 'task_result', 'task_cancel'])
      expect(textIn(begun)).toContain(name)
    expect(begun.resultType).toBe(era === '2026-07-28' ? 'complete' : undefined)
    const other = await clientOf(nodes, era, undefined, 1)
    expect(textIn(await other('task_status', { taskId }))).toContain('still working')
    happened.add('go')
    expect(textIn(await other('task_result', { taskId }))).toBe('the result')
    expect(happened.count('begun')).toBe(1)
  })

  test('is none if it ends soon, if its tool describes what it returns, is never one, or nobody could ask for it', async () => {
    const soon: Partial<JobOptions> = { task: 'auto', settings: { taskAfterMs: 60_000 } }
    const cases: Partial<JobOptions>[] = [soon, { described: true }, { task: 'never' }, { tools: false }]
    for (const options of cases) {
      await using nodes = await startJobs({ work: async () => 'now', store, ...options })
      expect(textIn(await (await clientOf(nodes, era))('work'))).toBe('now')
    }
  })

  test('may be of a plain tool, if durable() says so', async () => {
    const settings = { tasks: 'always' } as const
    await using nodes = await startJobs({ work: async () => '', store, settings })
    const call = await clientOf(nodes, era)
    const taskId = taskIn(await call('plain'))
    expect(textIn(await call('task_result', { taskId }))).toBe('plain')
  })

  test('goes on at another node when its own leaves', async () => {
    const { happened, work } = job()
    await using nodes = await startJobs({ work, store })
    const taskId = taskIn(await (await clientOf(nodes, era))('work'))
    await happened.until('begun')
    await nodes.mcp(0).close({ graceMs: 0 })
    await happened.until('begun', 2)
    happened.add('go')
    const other = await clientOf(nodes, era, undefined, 1)
    expect(textIn(await other('task_result', { taskId }))).toBe('the result')
  })

  test('asks whoever waits for its result', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const call = await clientOf(nodes, era)
    const taskId = taskIn(await call('work'))
    expect(textIn(await until(call, taskId, 'input_required'))).toContain('It asks: name?')
    const session = await Session.begin(nodes, { node: 1 })
    await using stream = await session.call('task_result', { taskId }, { node: 1 })
    const { message } = await stream.nextMessage()
    expect(message).toMatchObject({ method: 'elicitation/create', params: { message: 'name?' } })
    await session.answer((message as { id: string }).id, { action: 'accept', content: { value: 'Ann' } })
    expect(textIn(resultOf((await stream.messages()).at(-1)))).toBe('Ann')
  })

  test('says how far it is, although its client has not asked for that', async () => {
    const { happened, work } = job()
    const telling: Work = async (ctx) => {
      await happened.until('told')
      await ctx.progress(1, 2, 'halfway')
      return work(ctx)
    }
    await using nodes = await startJobs({ work: telling, store, settings: { validateEffects: true } })
    const call = await clientOf(nodes, era)
    const taskId = taskIn(await call('work'))
    happened.add('told')
    await happened.until('begun')
    await waitFor(async () => textIn(await call('task_status', { taskId })).includes('halfway'))
    happened.add('go')
    expect(textIn(await call('task_result', { taskId }))).toBe('the result')
    expect(nodes.logs.filter(({ message }) => message.startsWith('not repeatable'))).toEqual([])
  })

  test('is cancelled when it runs for longer than it is kept', async () => {
    const { work } = job()
    await using nodes = await startJobs({ work, store, settings: { taskTtlMs: 200 } })
    const call = await clientOf(nodes, era)
    const taskId = taskIn(await call('work'))
    expect((await until(call, taskId, 'cancelled')).structuredContent?.ttlMs).toBe(200)
  })
})

describe.each(STORES)('a long job of a session, %s', (store) => {
  test('is not cancelled with its request once that has its answer', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const session = await Session.begin(nodes)
    await using stream = await session.call('work', {}, { id: 7 })
    const taskId = taskIn(resultOf((await stream.messages()).at(-1)))
    await until(callsIn(session), taskId, 'input_required')
    await session.notify('notifications/cancelled', { requestId: 7 }, { node: 1 })
    // Its owner hears of the answer after the cancellation.
    await using waiting = await session.call('task_result', { taskId }, { node: 1 })
    const { message } = await waiting.nextMessage()
    await session.answer((message as { id: string }).id, { action: 'accept', content: { value: 'Ann' } })
    expect(textIn(resultOf((await waiting.messages()).at(-1)))).toBe('Ann')
  })

  test('is cancelled with its request before that', async () => {
    const { happened, work } = job()
    await using nodes = await startJobs({ work, store, task: 'auto', settings: { taskAfterMs: 60_000 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('work', {}, { id: 7 })
    await happened.until('begun')
    await session.notify('notifications/cancelled', { requestId: 7 }, { node: 1 })
    await happened.until('stopped')
    expect(await stream.messages()).toEqual([])
  })

  test('is told to the same request again, and to a stream that is resumed, on any node', async () => {
    const { happened, work } = job()
    await using nodes = await startJobs({ work, store })
    const session = await Session.begin(nodes)
    await using stream = await session.call('work', {}, { id: 7 })
    const events = await stream.rest()
    const [priming, answer] = [events[0]?.id, events.at(-1)?.id]
    const begun = resultOf(JSON.parse(events.at(-1)?.data ?? ''))
    await using again = await session.call('work', {}, { id: 7, node: 1 })
    expect(resultOf((await again.messages()).at(-1))).toEqual(begun)
    await using resumed = await session.stream(priming, { node: 1 })
    expect(resultOf((await resumed.messages()).at(-1))).toEqual(begun)
    expect((await session.get(answer, { node: 1 })).status).toBe(204)
    happened.add('go')
    const result = await callsIn(session)('task_result', { taskId: taskIn(begun) })
    expect(textIn(result)).toBe('the result')
    expect((await session.get(answer, { node: 1 })).status).toBe(204)
    expect(happened.count('begun')).toBe(1)
  })

  test('becomes a task at the next node, if its own leaves before', async () => {
    const { happened, work } = job()
    const settings = { taskAfterMs: 1000 }
    await using nodes = await startJobs({ work, store, task: 'auto', settings })
    const session = await Session.begin(nodes)
    await using stream = await session.call('work')
    const priming = (await stream.next())?.id
    await happened.until('begun')
    await nodes.mcp(0).close({ graceMs: 0 })
    await using resumed = await session.stream(priming, { node: 1 })
    const taskId = taskIn(resultOf((await resumed.messages()).at(-1)))
    await happened.until('begun', 2)
    happened.add('go')
    expect(textIn(await callsIn(session, 1)('task_result', { taskId }))).toBe('the result')
  })

  test('is answered first what it asks before it is a task', async () => {
    const { happened, work } = job()
    const asking: Work = async (ctx) => `${await ask(ctx, 'name')}: ${await work(ctx)}`
    await using nodes = await startJobs({ work: asking, store, task: 'auto', settings: { taskAfterMs: 500 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('work')
    const { message } = await stream.nextMessage()
    await session.answer((message as { id: string }).id, { action: 'accept', content: { value: 'Ann' } })
    const taskId = taskIn(resultOf((await stream.messages()).at(-1)))
    happened.add('go')
    expect(textIn(await callsIn(session)('task_result', { taskId }))).toBe('Ann: the result')
  })

  test('is told of to a client that takes tasks, whose answers it takes', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const taskId = taskIn(await callsIn(await Session.begin(nodes))('work'))
    const taker = new Taker(nodes)
    const task = { taskId } as never
    const { inputRequests = {} } = await taker.until(task, 'input_required', { node: 1 })
    const [key = ''] = Object.keys(inputRequests)
    const inputResponses = { [key]: { action: 'accept', content: { value: 'Ann' } } }
    await taker.about('update', taskId, { inputResponses }, { node: 1 })
    const { result } = await taker.until(task, 'completed')
    expect(result?.content[0]?.text).toBe('Ann')
  })

  test('ends with its session', async () => {
    const { happened, work } = job()
    await using nodes = await startJobs({ work, store })
    const [session, other] = [await Session.begin(nodes), await Session.begin(nodes)]
    const taskId = taskIn(await callsIn(session)('work'))
    await happened.until('begun')
    expect((await session.delete({ node: 1 })).status).toBe(200)
    await happened.until('stopped')
    expect(textIn(await callsIn(other)('task_status', { taskId }))).toContain('no such task')
  })
})

test('what a job without a session asks before it is a task is in the answer to its request', async () => {
  const { happened, work } = job()
  const asking: Work = async (ctx) => `${await ask(ctx, 'name')}: ${await work(ctx)}`
  await using nodes = await startJobs({ work: asking, task: 'auto', settings: { taskAfterMs: 500 } })
  const caller = new Caller(new Alone(nodes))
  const asked = resultOf(await caller.last()) as never
  const taskId = taskIn(resultOf(await caller.retry(asked, ['Ann'], { node: 1 })))
  happened.add('go')
  const call = await clientOf(nodes, '2026-07-28')
  expect(textIn(await call('task_result', { taskId }))).toBe('Ann: the result')
})
