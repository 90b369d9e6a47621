import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { StoreError } from '../src/error-classes.js'
import { taskTools } from '../src/index.js'
import type { Store } from '../src/index.js'
import { Alone } from './support/alone.js'
import { ask, Caller, resultOf as askedBy } from './support/caller.js'
import { clientOf, ERAS, resultOf, startJobs, textIn } from './support/jobs.js'
import type { Work } from './support/jobs.js'
import type { Nodes } from './support/nodes.js'
import { overriding } from './support/overriding.js'
import { Session } from './support/session.js'
import { STORES } from './support/stores.js'
import { TAKES_TASKS } from './support/taker.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'

const CASES = STORES.flatMap((store) => ERAS.map((era) => [store, era] as const))

/** Begins a task as a client does that takes tasks. */
async function begin(nodes: Nodes, who?: string): Promise<string> {
  const where = { meta: TAKES_TASKS, ...(who !== undefined && { who }) }
  await using stream = await new Alone(nodes).call('work', { text: 'x' }, where)
  const [created] = await stream.messages()
  return (created as unknown as { result: { taskId: string } }).result.taskId
}

describe.each(CASES)('tools for tasks, %s, asked by a client of %s', (store, era) => {
  test.each(['v1', 'v2'] as const)('tell how a task is and what it came to, SDK %s', async (sdk) => {
    const happened = new Happenings()
    const work: Work = async () => {
      await happened.until('go')
      return 'the result'
    }
    await using nodes = await startJobs({ work, store, sdk })
    const taskId = await begin(nodes)
    const call = await clientOf(nodes, era)
    const working = await call('task_status', { taskId }, 1)
    expect(working.structuredContent).toMatchObject({ taskId, status: 'working', tool: 'work' })
    expect(textIn(working)).toContain('still working')
    const early = await call('task_result', { taskId, waitMs: 50 }, 1)
    expect(early).not.toHaveProperty('isError')
    expect(early.structuredContent?.status).toBe('working')
    const waiting = call('task_result', { taskId }, 1)
    happened.add('go')
    expect((await waiting).content).toEqual([{ type: 'text', text: 'the result' }])
    expect((await call('task_status', { taskId })).structuredContent?.status).toBe('completed')
  })

  test('cancel it, and say so of one that is over', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      ctx.signal.addEventListener('abort', () => happened.add('stopped'))
      await happened.until('never')
      return ''
    }
    await using nodes = await startJobs({ work, store })
    const taskId = await begin(nodes)
    const call = await clientOf(nodes, era)
    for (let again = 0; again < 2; again++)
      expect((await call('task_cancel', { taskId }, 1)).structuredContent?.status).toBe('cancelled')
    await happened.until('stopped')
    const over = await call('task_result', { taskId })
    expect(over.isError).toBe(true)
    expect(textIn(over)).toContain('was cancelled')
  })

  test('wait for a store that is away', async () => {
    const failures: string[] = []
    const isAway = (operation: string, scope: string) => {
      if (failures[0] !== `${operation} ${scope}`) return
      failures.shift()
      throw new StoreError('store-unavailable', 'The store is away.')
    }
    const wrap = (own: Store) =>
      overriding(own, {
        readSession: async (...of) => {
          isAway('read', of[0])
          return own.readSession(...of)
        },
        append: async (...of) => {
          isAway('append', of[0])
          return own.append(...of)
        },
      })
    const happened = new Happenings()
    await using nodes = await startJobs({ work: () => happened.until('never').then(() => ''), store, wrap })
    const taskId = await begin(nodes)
    const [scope = ''] = taskId.split(':')
    const call = await clientOf(nodes, era)
    for (const [tool, status] of [
      ['task_status', 'working'],
      ['task_cancel', 'cancelled'],
      ['task_status', 'cancelled'],
    ] as const) {
      failures.push(`read ${scope}`, `read ${scope}`)
      if (tool === 'task_cancel') failures.push(`append ${scope}`)
      expect((await call(tool, { taskId }, 1)).structuredContent?.status).toBe(status)
      expect(failures).toEqual([])
    }
  })

  test('belong to their principal; a foreign task is like none', async () => {
    await using nodes = await startJobs({ work: async () => 'mine', store })
    const taskId = await begin(nodes, 'alice/1')
    const [alice, bob] = [await clientOf(nodes, era, 'alice/2'), await clientOf(nodes, era, 'bob/1')]
    expect(textIn(await alice('task_result', { taskId }, 1))).toBe('mine')
    for (const tool of ['task_status', 'task_result', 'task_cancel']) {
      const foreign = await bob(tool, { taskId })
      expect(foreign).toMatchObject({ isError: true })
      for (const none of ['A'.repeat(22), '', '../x', `${'A'.repeat(22)}:${taskId}`])
        expect(textIn(await bob(tool, { taskId: none }))).toBe(textIn(foreign))
    }
  })
})

describe.each(STORES)('what a task asks, %s', (store) => {
  test('is asked by whoever waits for its result, in a session', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const taskId = await begin(nodes)
    const session = await Session.begin(nodes)
    await waitFor(async () => (await statusIn(session, taskId)) === 'input_required')
    await using stream = await session.call('task_result', { taskId }, { node: 1 })
    const { message } = await stream.nextMessage()
    expect(message).toMatchObject({ method: 'elicitation/create', params: { message: 'name?' } })
    await session.answer((message as { id: string }).id, { action: 'accept', content: { value: 'Ann' } })
    expect(textIn(resultOf((await stream.messages()).at(-1)))).toBe('Ann')
  })

  test('is asked by whoever waits for its result, without a session', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const taskId = await begin(nodes)
    const session = await Session.begin(nodes)
    await waitFor(async () => (await statusIn(session, taskId)) === 'input_required')
    const caller = new Caller(new Alone(nodes), 'task_result', { taskId })
    const asked = askedBy(await caller.last())
    expect(asked.inputRequests).toMatchObject({ name: { params: { message: 'name?' } } })
    const result = await caller.retry(asked, ['Ann'], { node: 1 })
    expect(textIn(resultOf(result))).toBe('Ann')
  })

  test('is told of by a client that can’t be asked', async () => {
    await using nodes = await startJobs({ work: (ctx) => ask(ctx, 'name'), store })
    const taskId = await begin(nodes)
    const session = await Session.begin(nodes, { capabilities: {} })
    await waitFor(async () => (await statusIn(session, taskId)) === 'input_required')
    const result = resultOf((await (await session.call('task_result', { taskId })).messages()).at(-1))
    expect(textIn(result)).toContain('It asks: name?')
    expect(result.structuredContent?.status).toBe('input_required')
  })
})

async function statusIn(session: Session, taskId: string) {
  await using stream = await session.call('task_status', { taskId })
  return resultOf((await stream.messages()).at(-1)).structuredContent?.status
}

test('options of taskTools() are checked, and the names of its tools can be others', () => {
  const server = () => new McpServer({ name: 'tasks', version: '1' })
  const wrong = (options: object) => () => taskTools(server(), options)
  expect(wrong({ name: {} })).toThrow('Did you mean `names`?')
  expect(wrong({ names: { statuss: 'x' } })).toThrow('Did you mean `status`?')
  expect(wrong({ names: { status: '' } })).toThrow('is a string that is not empty')
  const made = server()
  taskTools(made, { names: { status: 'job_status' } })
  const { _registeredTools: tools } = made as unknown as { _registeredTools: object }
  expect(Object.keys(tools)).toEqual(['job_status', 'task_result', 'task_cancel'])
})
