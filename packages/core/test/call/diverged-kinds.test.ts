import { randomBytes } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { z } from 'zod'
import { durableTool, sealedStore } from '../../src/index.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { isRequest } from '../../src/json-rpc.js'
import { readAll, within } from '../../src/store/retry.js'
import { ask } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import { expectJson, expectStream, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { resultOf, Taker } from '../support/taker.js'
import { Happenings } from '../support/world.js'

// What becomes of a call that the code does not fit where it is more than one request in a stream: a task, a batch, one whose question
// is open, one that is sealed. Node 0 begins it; the step that asks has another name on node 1; node 2 has the code of node 0, and takes
// nothing before it is let.

const QUESTIONS = ['name', 'full-name', 'name']
const FULL_NAME = { action: 'accept', content: { value: 'ann' } }

async function start(store: (typeof STORES)[number], settings: Partial<CommonOptions> = {}) {
  const happened = new Happenings()
  const server = (node: number) => () => {
    const made = new McpServer({ name: 'diverging', version: '1' })
    const question = QUESTIONS[node]!
    const work = durableTool({ task: 'auto' }, async ({ text }: { text: string }, ctx) => {
      const asks = text === 'x'
      const charge = asks || text === 'fine' ? 'charge' : `charge ${question}`
      await ctx.atMostOnce(charge, () => happened.add(`charge ${text}`))
      if (text === 'fine') await ctx.info('charged')
      const asked = asks ? ask(ctx, question) : text
      // So that it does not only wait.
      const held = ctx.atLeastOnce('hold', () => (node === 0 ? new Promise<never>(() => undefined) : 'held'))
      const [said] = await Promise.all([asked, held])
      return { content: [{ type: 'text' as const, text: `${said} on ${node}` }] }
    })
    made.registerTool('work', { inputSchema: { text: z.string() } }, work)
    return made
  }
  const wrap = (own: Store, node: number) =>
    new Proxy(own, {
      get(target, name) {
        const member = Reflect.get(target, name, target) as unknown
        if (typeof member !== 'function') return member
        const method = member.bind(target) as (...args: unknown[]) => unknown
        if (name !== 'claimCall' || node !== 2) return method
        return async (...args: unknown[]) => {
          await happened.until('let')
          return method(...args)
        }
      },
    })
  const nodes = await startNodes({
    store,
    wrap,
    count: 3,
    serverOf: server,
    settings: { validateEffects: false, divergesAfterMs: 300, taskAfterMs: 0, ...settings },
    settingsOf: (node) => ({ version: `v${node + 1}` }),
  })
  const own = settings.seal ? sealedStore(nodes.stores[1]!, settings.seal) : nodes.stores[1]!
  const records = async (scope: string, from = own) => {
    const [open] = await own.listOpenCalls(scope)
    const callId = open?.callId ?? scope
    return (await readAll(from, scope, `call:${callId}`, within(5000))).map(({ data }) => data)
  }
  return {
    nodes,
    happened,
    records,
    errors: () => nodes.logs.filter(({ level }) => level === 'error'),
    /** Node 0 leaves, and node 1 parks what it takes over. */
    async park(scope: string) {
      await nodes.mcp(0).close({ graceMs: 0 })
      await waitFor(async () => (await records(scope)).at(-1)?.startsWith('diverged '))
    },
    async [Symbol.asyncDispose]() {
      happened.add('let')
      await nodes[Symbol.asyncDispose]()
    },
  }
}

/** A task that waits for an answer, and is parked. */
async function parkedTask(store: (typeof STORES)[number], settings: Partial<CommonOptions> = {}) {
  const of = await start(store, settings)
  const taker = new Taker(of.nodes)
  const task = await taker.call()
  await taker.until(task, 'input_required')
  await of.park(task.taskId)
  const about = (method: string, more?: object) => taker.about(method, task.taskId, more, { node: 1 })
  return Object.assign(of, { taker, task, about, get: () => taker.get(task, { node: 1 }) })
}

describe.concurrent.each(STORES)('the code does not fit, %s', (store) => {
  test('a task asks what it has asked, takes the answer while it is parked, and ends where the code fits', async () => {
    await using of = await parkedTask(store)
    // Who looks at it does not have it run.
    const { status, inputRequests } = await of.get()
    expect([status, Object.keys(inputRequests ?? {})]).toEqual(['input_required', ['name']])
    expect(
      resultOf(await expectJson(await of.about('update', { inputResponses: { name: FULL_NAME } }))),
    ).toMatchObject({ resultType: 'complete' })
    expect((await of.get()).status).toBe('working')
    expect((await of.records(of.task.taskId)).at(-1)).toMatch(/^diverged /)
    of.happened.add('let')
    const { result } = await of.taker.until(of.task, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('ann on 2')
    const asked = (await of.records(of.task.taskId)).filter((data) => data.startsWith('question'))
    expect(asked).toHaveLength(1)
    expect(of.happened.all.filter((what) => what.startsWith('charge'))).toEqual(['charge x'])
    expect(of.errors()).toHaveLength(1)
  })

  test('a task can be cancelled', async () => {
    await using of = await parkedTask(store)
    await expectJson(await of.about('cancel'))
    await of.taker.until(of.task, 'cancelled', { node: 1 })
    expect((await of.records(of.task.taskId)).at(-1)).toMatch(/^cancelled /)
  })

  test('a task ends when its time is over', async () => {
    // It must be parked before that, also on a machine that has other work.
    await using of = await parkedTask(store, { taskTtlMs: 15_000 })
    await of.taker.until(of.task, 'cancelled', { node: 1 })
    expect((await of.records(of.task.taskId)).at(-1)).toMatch(/^cancelled .*taskTtlMs/)
  })

  test('what is recorded of that is sealed as the rest is', async () => {
    const seal = { keys: [randomBytes(32)] }
    await using of = await parkedTask(store, { seal })
    expect((await of.records(of.task.taskId)).at(-1)).toMatch(/"step":"full-name"/)
    const raw = await of.records(of.task.taskId, of.nodes.stores[1])
    // Nothing but base64, which may spell a word by chance.
    for (const data of raw) expect(data).toMatch(/^sealed:1:[0-9a-f]{8}:[a-z]:[A-Za-z0-9+/]+={0,2}$/)
    await expectJson(await of.about('update', { inputResponses: { name: FULL_NAME } }))
    of.happened.add('let')
    const { result } = await of.taker.until(of.task, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('ann on 2')
  })

  test('the answer to a question in a session comes while it is parked, and is heard where the code fits', async () => {
    await using of = await start(store)
    const session = await Session.begin(of.nodes)
    await using stream = await expectStream(
      await session.request('tools/call', { name: 'work', arguments: { text: 'x' } }),
    )
    const priming = await stream.next()
    const { message } = await stream.nextMessage()
    await of.park(session.id)
    if (!isRequest(message)) throw new Error('nothing was asked')
    await session.answer(message.id, FULL_NAME, { node: 1 })
    of.happened.add('let')
    await using resumed = await session.stream(priming?.id, { node: 1 })
    const messages = await resumed.messages()
    expect(textOf(messages.at(-1))).toBe('ann on 2')
    expect(messages.filter(isRequest)).toHaveLength(1)
    expect(of.errors()).toHaveLength(1)
  })

  test('of a batch is parked what has not ended, once', async () => {
    await using of = await start(store)
    const session = await Session.begin(of.nodes, { version: '2025-03-26' })
    const calls = ['fine', 'one', 'two'].map((text, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'work', arguments: { text } },
    }))
    await using stream = await expectStream(await session.post(calls))
    const said = await stream.next()
    for (const text of ['fine', 'one', 'two']) await of.happened.until(`charge ${text}`)
    await of.park(session.id)
    of.happened.add('let')
    await using resumed = await session.stream(said?.id, { node: 1 })
    const messages = await resumed.messages()
    const results = messages.filter((message) => 'result' in message).map(textOf)
    expect(results.toSorted()).toEqual([expect.stringMatching(/^fine on [12]$/), 'one on 2', 'two on 2'])
    expect(of.happened.all.filter((what) => what.startsWith('charge')).toSorted()).toEqual([
      'charge fine',
      'charge one',
      'charge two',
    ])
    expect(of.errors()).toHaveLength(1)
  })
})
