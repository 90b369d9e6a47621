import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import type { DurableContext, Store } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import type { AloneWhere } from '../support/alone.js'
import { answersTo, ask, Caller, CAPABILITIES, resultOf } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
import { SDKS, startNodes } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { expectJson, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'

type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>
const SLOW_MS = 100
const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 }

const start = (work: Work, store: StoreKind = 'memory') =>
  startNodes({
    store,
    settings: { eras: ['2025-11-25', '2026-07-28'], server: () => durableServer(work), ...QUICK },
  })

describe.each(STORES)('questions without a session, %s', (store) => {
  test('are a result; the answer comes with the request again, at any node, and no step is run twice', async () => {
    let ran = 0
    await using nodes = await start(async (ctx) => {
      await ctx.atLeastOnce('before', () => ++ran)
      return `hello ${await ask(ctx, 'name')}`
    }, store)
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last({}, { id: 'first' }))
    expect(asked).toMatchObject({ resultType: 'input_required', requestState: expect.any(String) as string })
    expect(Object.values(asked.inputRequests)).toEqual([
      { method: 'elicitation/create', params: expect.objectContaining({ message: 'name?' }) as object },
    ])
    const answer = await caller.retry(asked, ['Ann'], { node: 1, id: 'second' })
    expect(answer).toMatchObject({ id: 'second', result: { resultType: 'complete' } })
    expect(textOf(answer)).toBe('hello Ann')
    expect(ran).toBe(1)
    // It is the same answer for whoever sends the same again.
    expect(textOf(await caller.retry(asked, ['Bob'], { id: 'third' }))).toBe('hello Ann')
  })

  test('of names that differ by half a character are told apart', async () => {
    const names = ['\ud83d', '\ud83e', '\ufffd', '%', '%EF%BF%BD', '"\\ud83d"']
    await using nodes = await start(async (ctx) => {
      const answers = await Promise.all(names.map((name) => ask(ctx, name)))
      return answers.join()
    }, store)
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    const keys = Object.keys(asked.inputRequests)
    expect(new Set(keys).size).toBe(names.length)
    expect(keys.slice(2)).toEqual(names.slice(2))
    const values = names.map((_, place) => String(place))
    expect(textOf(await caller.retry(asked, values, { node: 1 }))).toBe(values.join())
    // The next call may come with the answers.
    expect(textOf(await caller.last({ inputResponses: answersTo(asked, ...values) }))).toBe(values.join())
  })

  test('outlive the node that asked', async () => {
    let ran = 0
    await using nodes = await start(async (ctx) => {
      await ctx.atLeastOnce('before', () => ++ran)
      return `hello ${await ask(ctx, 'name')}`
    }, store)
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await nodes.mcp(0).close({ graceMs: 0 })
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('hello Ann')
    expect(ran).toBe(1)
  })

  test('that are asked together come together, and may be answered one by one', async () => {
    await using nodes = await start(async (ctx) => {
      const names = await Promise.all([ask(ctx, 'a'), ask(ctx, 'b')])
      return names.join(' and ')
    }, store)
    const caller = new Caller(new Alone(nodes))
    const both = resultOf(await caller.last())
    expect(Object.values(both.inputRequests).map(({ params }) => params.message)).toEqual(['a?', 'b?'])
    const left = resultOf(await caller.retry(both, ['1'], { node: 1 }))
    expect(Object.values(left.inputRequests).map(({ params }) => params.message)).toEqual(['b?'])
    expect(textOf(await caller.retry(left, ['2']))).toBe('1 and 2')
  })

  test('end the stream, and what was said beside them is not said again with the answer', async () => {
    await using nodes = await start(async (ctx) => {
      const asked = ask(ctx, 'name')
      await ctx.atLeastOnce('beside', () => null)
      await ctx.progress(1, 2, 'beside')
      return `hello ${await asked}`
    }, store)
    const client = new Alone(nodes)
    const call = async (where: AloneWhere = {}) => {
      const meta = { ...CAPABILITIES, progressToken: 'p' }
      await using stream = await client.call('work', { text: 'x' }, { meta, ...where })
      return await stream.messages()
    }
    const first = await call()
    expect(first.map((message) => ('method' in message ? message.method : 'result'))).toEqual([
      'notifications/progress',
      'result',
    ])
    const { requestState } = resultOf(first.at(-1))
    const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
    const again = await call({ node: 1, more: { requestState, inputResponses } })
    expect(again).toHaveLength(1)
    expect(textOf(again.at(-1))).toBe('hello Ann')
  })

  test('follow one another', async () => {
    await using nodes = await start(async (ctx) => `${await ask(ctx, 'a')}, ${await ask(ctx, 'b')}`, store)
    const caller = new Caller(new Alone(nodes))
    const first = resultOf(await caller.last())
    const second = resultOf(await caller.retry(first, ['1'], { node: 1 }))
    expect(Object.values(second.inputRequests).map(({ params }) => params.message)).toEqual(['b?'])
    // What was answered is not asked again.
    expect(resultOf(await caller.retry(first, ['other'])).inputRequests).toEqual(second.inputRequests)
    expect(textOf(await caller.retry(second, ['2']))).toBe('1, 2')
  })
})

describe('a state that is not valid', () => {
  const works: Work = async (ctx) => `hello ${await ask(ctx, 'name')}`

  test.each([
    ['of nobody', { requestState: 'made up' }, {}],
    ['of another caller', {}, { who: 'eve/1' }],
    ['of another request', { arguments: { text: 'other' } }, {}],
  ] as const)('%s is refused', async (_, more, where) => {
    await using nodes = await start(works)
    const caller = new Caller(new Alone(nodes))
    const { requestState } = resultOf(await caller.last({}, { who: 'ann/1' }))
    const response = await caller.request({ requestState, ...more }, { who: 'ann/2', ...where })
    const body = await expectJson<{ error: unknown }>(response)
    expect(body.error).toMatchObject({ code: -32602, data: { reason: 'invalid_request_state' } })
  })
})

test('the stream of a request that was sent again is resumed under its own id', async () => {
  let go: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (go = resolve))
  await using nodes = await start(async (ctx) => {
    const name = await ask(ctx, 'name')
    await gate
    return `hello ${name}`
  })
  const caller = new Caller(new Alone(nodes))
  const { inputRequests, requestState } = resultOf(await caller.last({}, { id: 1 }))
  const [key = ''] = Object.keys(inputRequests)
  const inputResponses = { [key]: { action: 'accept', content: { value: 'Ann' } } }
  const more = { inputResponses, requestState }
  await using again = await caller.client.call('work', caller.args, { meta: CAPABILITIES, id: 2, more })
  const priming = await again.next()
  await using resumed = await caller.client.stream(priming?.id, { node: 1 })
  go()
  expect((await resumed.messages()).at(-1)).toMatchObject({ id: 2 })
})

test('what was answered is not asked again while the call ends', async () => {
  let go: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (go = resolve))
  const work: Work = async (ctx) => {
    const name = await ask(ctx, 'name')
    await gate
    return `hello ${name}`
  }
  // The call ends just before its inbox is read.
  let hasEnded = false
  const ending = (store: Store) =>
    overriding(store, {
      read: async (scope, log, ...more) => {
        // What comes next comes later than questions are gathered for.
        if (hasEnded) await sleep(SLOW_MS)
        if (log.endsWith(':in')) {
          go()
          await waitFor(async () => (await store.listOpenCalls(scope)).length === 0)
          hasEnded = true
        }
        return store.read(scope, log, ...more)
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 0 ? store : ending(store)),
    settings: { eras: ['2025-11-25', '2026-07-28'], server: () => durableServer(work) },
  })
  const caller = new Caller(new Alone(nodes))
  const { inputRequests, requestState } = resultOf(await caller.last())
  const [key = ''] = Object.keys(inputRequests)
  const inputResponses = { [key]: { action: 'accept', content: { value: 'Ann' } } }
  const more = { inputResponses, requestState }
  await using again = await caller.client.call('work', caller.args, { meta: CAPABILITIES, more })
  const priming = await again.next()
  await using resumed = await caller.client.stream(priming?.id, { node: 1 })
  expect(textOf((await resumed.messages()).at(-1))).toBe('hello Ann')
})

test('a call whose client does not answer in time is cancelled', async () => {
  let stopped: () => void = () => undefined
  const isStopped = new Promise<void>((resolve) => (stopped = resolve))
  await using nodes = await startNodes({
    settings: {
      eras: ['2025-11-25', '2026-07-28'],
      inputTtlMs: 100,
      server: () =>
        durableServer(async (ctx) => {
          ctx.signal.addEventListener('abort', () => stopped())
          return ask(ctx, 'name')
        }),
    },
  })
  const caller = new Caller(new Alone(nodes))
  const asked = resultOf(await caller.last())
  await isStopped
  await using late = await caller.client.call('work', caller.args, {
    meta: CAPABILITIES,
    more: { requestState: asked.requestState },
  })
  const message = 'The call was cancelled: The client has not answered in time.'
  expect(await late.messages()).toMatchObject([{ error: { code: -32603, message } }])
})

describe.each(SDKS)('questions of the SDK’s own handlers, %s', (sdk) => {
  test.each(['elicitation', 'sampling', 'roots'])('%s: answered at the other node', async (question) => {
    await using nodes = await startNodes({ sdk, settings: { eras: ['2025-11-25', '2026-07-28'] } })
    const client = new Alone(nodes)
    const args = { question, related: true }
    const call = async (where: AloneWhere = {}) => {
      await using stream = await client.call('ask', args, { meta: CAPABILITIES, ...where })
      return (await stream.messages()).at(-1)
    }
    const { inputRequests, requestState } = resultOf(await call())
    const [key = ''] = Object.keys(inputRequests)
    const answer = {
      elicitation: { action: 'decline' },
      sampling: { role: 'assistant', content: { type: 'text', text: 'yes' }, model: 'm' },
      roots: { roots: [] },
    }[question]
    const answered = await call({ node: 1, more: { requestState, inputResponses: { [key]: answer } } })
    expect(JSON.parse(textOf(answered))).toMatchObject(answer ?? {})
  })
})
