import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Store } from '../src/index.js'
import { runsOf } from '../src/runs/index.js'
import { BEGINNING } from '../src/store/index.js'
import { Alone } from './support/alone.js'
import type { AloneWhere } from './support/alone.js'
import { ask, Caller, resultOf } from './support/caller.js'
import { durableServer } from './support/durable-server.js'
import type { EventReader } from './support/event-reader.js'
import { startNodes } from './support/nodes.js'
import type { NodesOptions } from './support/nodes.js'
import { overriding } from './support/overriding.js'
import { expectRefused, expectStream, Session, textOf } from './support/session.js'
import { STORES } from './support/stores.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'

type Quotas = NonNullable<NonNullable<NodesOptions['settings']>['quotas']>

const start = (quotas: Quotas, { settings, ...options }: NodesOptions = {}) =>
  startNodes({
    ...options,
    settings: { eras: ['2025-11-25', '2026-07-28'], validateEffects: false, ...settings, quotas },
  })

const waitParams = (gate: string) => ({ name: 'wait', arguments: { gate } })
const endOf = async (stream: EventReader) => textOf((await stream.messages()).at(-1))

async function expectOver(response: Response, limit: string) {
  const retryAfter = Number(response.headers.get('retry-after'))
  const { error } = await expectRefused(response, 429)
  expect(error.message).toBe(`Too Many Requests: no place is left in the quota ${limit}`)
  return retryAfter
}

describe.each(STORES)('quotas, %s', (store) => {
  test('of calls that come at once to two nodes, in both eras, so many run as may', async () => {
    await using nodes = await start([{ tool: 'wait', runsAtOnce: 3 }], { store })
    const [client, session] = [new Alone(nodes), await Session.begin(nodes)]
    const send = (n: number) =>
      n % 4 < 2
        ? client.request('tools/call', waitParams(`g${n}`), { node: n % 2 })
        : session.request('tools/call', waitParams(`g${n}`), { node: n % 2 })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => send(n)))
    const open = answers.filter(({ status }) => status === 200)
    expect(open).toHaveLength(3)
    for (const answer of answers)
      if (answer.status !== 200)
        expect(await expectOver(answer, 'runsAtOnce 3 of the tool wait')).toBeGreaterThan(0)
    const lines = nodes.logs.filter(({ message }) => message.startsWith('refused with 429: '))
    expect(lines.length, 'one for each node').toBeLessThanOrEqual(2)
    expect(textOf((await (await client.call('echo', { text: 'other' })).messages()).at(-1))).toContain(
      'other',
    )

    for (const n of answers.keys()) nodes.world.gates.open(`g${n}`)
    for (const answer of open) await answer.text()
    nodes.world.gates.open('next')
    await waitFor(async () => {
      const next = await session.request('tools/call', waitParams('next'), { node: 1 })
      await next.text()
      return next.status === 200
    })
  })

  test('each principal has its own, and who is nobody is not counted', async () => {
    await using nodes = await start([{ perPrincipal: true, maxOpen: 1 }], { store })
    const client = new Alone(nodes)
    const call = (gate: string, where: AloneWhere) => client.request('tools/call', waitParams(gate), where)
    for (const where of [{ who: 'ann/1' }, { who: 'bob/1', node: 1 }, {}, {}])
      expect((await call('g', where)).status).toBe(200)
    await expectOver(await call('g', { who: 'ann/2', node: 1 }), 'maxOpen 1 of all tools, for each principal')
    expect((await client.request('tools/list', {}, { who: 'ann/1' })).status).toBe(200)
    nodes.world.gates.open('g')
    await waitFor(async () => (await call('g', { who: 'ann/1', node: 1 })).status === 200)
  })

  test('starts are counted within a minute, and the answer says when there is room', async () => {
    await using nodes = await start([{ tool: 'echo', startsPerMinute: 2 }], { store })
    const client = new Alone(nodes)
    const echo = (node: number) =>
      client.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, { node })
    for (const node of [0, 1]) await (await echo(node)).text()
    const retryAfter = await expectOver(await echo(0), 'startsPerMinute 2 of the tool echo')
    expect(retryAfter).toBeGreaterThan(30)
    expect(retryAfter).toBeLessThanOrEqual(60)
  })

  test('a request that joins a call begins none', async () => {
    await using nodes = await start([{ startsPerMinute: 2 }], { store })
    const client = new Alone(nodes)
    const headers = { 'idempotency-key': randomUUID() }
    for (const node of [0, 1, 0, 1]) await client.call('wait', { gate: 'g' }, { headers, node })
    // What it gives back, it gives back in the background.
    await waitFor(
      async () => (await client.request('tools/call', waitParams('g'), { node: 1 })).status === 200,
    )
    await expectOver(await client.request('tools/call', waitParams('g')), 'startsPerMinute 2 of all tools')
  })

  test('of several quotas a call takes none if one is full', async () => {
    const both: Quotas = [{ runsAtOnce: 2 }, { tool: 'wait', runsAtOnce: 1 }]
    await using nodes = await start(both, { store })
    const client = new Alone(nodes)
    await using first = await client.call('wait', { gate: 'g' })
    for (let n = 0; n < 5; n++)
      await expectOver(
        await client.request('tools/call', waitParams('g'), { node: n % 2 }),
        'runsAtOnce 1 of the tool wait',
      )
    expect(await endOf(await client.call('echo', { text: 'x' }, { node: 1 }))).toContain('x')
    nodes.world.gates.open('g')
    expect(await endOf(first)).toContain('g on')
  })

  test('the same request again joins its call, however full it is', async () => {
    await using nodes = await start([{ maxOpen: 1 }], { store })
    const client = new Alone(nodes)
    const session = await Session.begin(nodes)
    const headers = { 'idempotency-key': randomUUID() }
    await using first = await client.call('wait', { gate: 'g' }, { headers })
    await using again = await client.call('wait', { gate: 'g' }, { headers, node: 1 })
    const other = { 'idempotency-key': randomUUID() }
    await expectOver(await client.request('tools/call', waitParams('g'), { headers: other }), ALL_OPEN)
    await expectOver(await session.request('tools/call', waitParams('g')), ALL_OPEN)
    nodes.world.gates.open('g')
    for (const stream of [first, again]) expect(await endOf(stream)).toContain('g on')
    await using ended = await client.call('wait', { gate: 'g' }, { headers })
    expect(await endOf(ended)).toContain('g on')
    expect((await session.request('tools/call', waitParams('g'), { who: 'eve/1' })).status).toBe(404)
  })

  test('a call that only waits for its client is open, and does not run', async () => {
    const server = () => durableServer((ctx) => ask(ctx, 'name'))
    const quotas: Quotas = [{ maxOpen: 2, runsAtOnce: 1 }]
    await using nodes = await start(quotas, { store, settings: { server, serverIdleMs: 50 } })
    const caller = new Caller(new Alone(nodes))
    const first = resultOf(await caller.last())
    let second: ReturnType<typeof resultOf> | undefined
    await waitFor(async () => {
      const response = await caller.request({}, { node: 1 })
      if (response.status === 200)
        second = (
          JSON.parse(/\{"result.*\}|\{"jsonrpc.*"result.*\}/.exec(await response.text())?.[0] ?? '{}') as {
            result: typeof second
          }
        ).result
      return second !== undefined
    })
    await expectOver(await caller.request(), ALL_OPEN.replace('1', '2'))
    expect(textOf(await caller.retry(first, ['Ann'], { node: 1 }))).toBe('Ann')
    expect(textOf(await caller.retry(second!, ['Bob']))).toBe('Bob')
  })

  test('a call that goes on has its place, also if the node that was to run it has died before it took one', async () => {
    const happened = new Happenings()
    let running = 0
    let most = 0
    const server = () =>
      durableServer(async (ctx, { text }) => {
        if (text === 'asks') await ask(ctx, 'name')
        most = Math.max(most, ++running)
        try {
          happened.add(text)
          if (text === 'holds') await happened.until('go')
          return text
        } finally {
          running--
        }
      })
    const control = { dies: false }
    const wrap = (own: Store, node: number) =>
      overriding(own, {
        takePlaces: async (...args) => {
          if (node === 1 && control.dies) {
            happened.add('died')
            await new Promise(() => undefined)
          }
          return own.takePlaces(...args)
        },
      })
    const settings = { server, serverIdleMs: 50, heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 }
    await using nodes = await start([{ runsAtOnce: 1 }], { store, wrap, settings })
    const caller = new Caller(new Alone(nodes), 'work', { text: 'asks' })
    const asked = resultOf(await caller.last())
    const holds = new Caller(new Alone(nodes), 'work', { text: 'holds' })
    let holding: Response | undefined
    await waitFor(async () => (holding = await holds.request()).status === 200)
    await happened.until('holds')
    control.dies = true
    const answering = caller.retry(asked, ['Ann'], { node: 1 }).catch(() => undefined)
    await happened.until('died')
    await nodes.mcp(1).close({ graceMs: 0 })
    await answering
    await waitFor(async () => (await nodes.stores[0]!.waitedFor()).length > 0 || happened.count('asks') > 0)
    happened.add('go')
    await holding?.text()
    await happened.until('asks')
    expect(most).toBe(1)
  })

  test('what an operator makes of a call counts for its principal, and waits for its turn', async () => {
    const happened = new Happenings()
    let running = 0
    let most = 0
    const server = () =>
      durableServer(async (ctx, { text }) => {
        most = Math.max(most, ++running)
        try {
          await ctx.atLeastOnce('try', () => happened.add(text))
          if (text === 'holds') await happened.until('go')
          if (text.endsWith('fails')) throw new Error('no')
          return text
        } finally {
          running--
        }
      })
    const quotas: Quotas = [{ tool: 'work', perPrincipal: true, maxOpen: 3, runsAtOnce: 1 }]
    await using nodes = await start(quotas, { store, settings: { server } })
    const [kept] = nodes.stores as [Store]
    const runs = runsOf(kept, { by: 'operator' })
    const [ann, bob] = ['ann/1', 'bob/1'] as const
    const client = new Alone(nodes)
    const session = await Session.begin(nodes, { who: ann })
    const params = (text: string) => ({ name: 'work', arguments: { text } })
    const alone = (text: string, who: string) => () => client.request('tools/call', params(text), { who })
    // The place of the call before is given back soon after its end.
    const begin = async (request: () => Promise<Response>, scope?: string) => {
      let response: Response | undefined
      await waitFor(async () => (response = await request()).status === 200)
      const stream = await expectStream(response!)
      const [callId = ''] = String((await stream.next())?.id).split('.')
      return { scope: scope ?? callId, callId, stream }
    }
    const failed = async (request: () => Promise<Response>, scope?: string) => {
      const call = await begin(request, scope)
      await call.stream.messages()
      return call
    }
    const lastOf = async ({ scope, callId }: { scope: string; callId: string }) =>
      (await kept.read(scope, `call:${callId}`, BEGINNING, 100))?.at(-1)?.data ?? ''
    const first = await failed(() => session.request('tools/call', params('ann fails')), session.id)
    const second = await failed(alone('ann fails', ann))
    const other = await failed(alone('bob fails', bob))
    const holding = await begin(alone('holds', ann))
    await happened.until('holds')

    const made = [(await runs.retry(first)).call, (await runs.fork(second, { from: { name: 'try' } })).call]
    for (const call of made) await waitFor(async () => (await lastOf(call)).startsWith('parked '))
    await expect(runs.retry(second)).rejects.toMatchObject({
      code: 'run-quota',
      message: expect.stringContaining('maxOpen 3 of the tool work, for each principal') as string,
    })
    await expectOver(await alone('x', ann)(), 'maxOpen 3 of the tool work, for each principal')
    const others = (await runs.retry(other)).call
    await waitFor(async () => (await lastOf(others)).startsWith('response '))
    expect(happened.count('ann fails')).toBe(2)

    happened.add('go')
    expect(await endOf(holding.stream)).toContain('holds')
    for (const call of made) await waitFor(async () => (await lastOf(call)).startsWith('response '))
    expect(happened.count('ann fails')).toBe(4)
    // That of bob, and one of ann's.
    expect(most).toBe(2)
    const again = (await runs.retry(second)).call
    await waitFor(async () => (await lastOf(again)).startsWith('response '))
    await begin(alone('x', ann))
  })

  test('a place of a call that was never opened, or is gone, is found', async () => {
    const settings = { leaseMs: 200, heartbeatMs: 40, sweepMs: 100 }
    const holders: Array<{ scope: string; callId: string }> = []
    const wrap = (own: Store) =>
      overriding(own, {
        takePlaces: async (call, quotas) => {
          const lost = { scope: randomUUID(), callId: randomUUID() }
          // As a node does that dies before it opens the call.
          if (holders.length === 0) await own.takePlaces(lost, quotas)
          holders.push(lost)
          return own.takePlaces(call, quotas)
        },
      })
    await using nodes = await start([{ maxOpen: 1 }], { store, wrap, settings })
    const client = new Alone(nodes)
    expect((await client.request('tools/call', waitParams('g'))).status).toBe(429)
    await waitFor(
      async () => (await client.request('tools/call', waitParams('g'), { node: 1 })).status === 200,
    )
    await expectOver(await client.request('tools/call', waitParams('g')), ALL_OPEN)
  })
})

test('without quotas the store is asked nothing', async () => {
  const asked: string[] = []
  const told = (name: string) => async () => {
    asked.push(name)
    return undefined
  }
  const wrap = (own: Store) =>
    overriding(own, { takePlaces: told('take'), releasePlaces: async () => asked.push('release') > 0 })
  await using nodes = await start([], { wrap })
  const client = new Alone(nodes)
  expect(await endOf(await client.call('echo', { text: 'x' }))).toContain('x')
  await using other = await start([{ tool: 'wait', maxOpen: 1 }], { wrap })
  expect(await endOf(await new Alone(other).call('echo', { text: 'x' }))).toContain('x')
  expect(asked).toEqual([])
})

const ALL_OPEN = 'maxOpen 1 of all tools'
