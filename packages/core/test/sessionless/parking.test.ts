import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { parseRecord } from '../../src/call/record.js'
import { StoreError } from '../../src/errors.js'
import { durableContext } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { requestKeyPrefix } from '../../src/ids.js'
import { ASLEEP, BEGINNING, NOBODY } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { ask, Caller, resultOf } from '../support/caller.js'
import type { InputRequired } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { expectJson, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

const ERAS = ['2025-11-25', '2026-07-28'] as const
/** Parked as soon as a node looks, which it does twenty times a second. */
const IDLE = { serverIdleMs: 50, validateEffects: false }

type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>

function start(work: Work, { settings, ...options }: NodesOptions = {}) {
  const server = () => durableServer(work)
  return startNodes({ ...options, settings: { eras: ERAS, server, ...IDLE, ...settings } })
}

const scopeOf = ({ requestState }: InputRequired) => requestState.split('.')[0] ?? ''

async function ownersOf(nodes: Nodes, asked: InputRequired) {
  const open = await nodes.stores[0]!.listOpenCalls(scopeOf(asked))
  return open.map(({ owner }) => owner)
}

async function untilParked(nodes: Nodes, asked: InputRequired) {
  await waitFor(async () => (await ownersOf(nodes, asked))[0] === NOBODY)
}

async function recordsOf(nodes: Nodes, asked: InputRequired) {
  const scope = scopeOf(asked)
  const entries = await nodes.stores[0]!.read(scope, `call:${scope}`, BEGINNING, 1000)
  return (entries ?? []).map(({ data }) => parseRecord(data))
}

async function kindsOf(nodes: Nodes, asked: InputRequired, kind: string) {
  return (await recordsOf(nodes, asked)).filter((record) => record.kind === kind).length
}

/** Greets whom it has asked for, between two steps. */
function greeter() {
  const happened = new Happenings()
  const work: Work = async (ctx) => {
    happened.add('run')
    ctx.signal.addEventListener('abort', () => happened.add('stopped'))
    await ctx.atLeastOnce('before', () => happened.add('before'))
    const name = await ask(ctx, 'name')
    await ctx.atLeastOnce('after', () => happened.add('after'))
    return `hello ${name}, run ${ctx.attempt}`
  }
  return { work, happened }
}

describe.each(STORES)('a durable call that waits for its client, %s', (store) => {
  test('is let go of, and goes on at the node that its client comes to', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { store })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await untilParked(nodes, asked)
    await happened.until('stopped')
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('hello Ann, run 1')
    expect(happened.all.filter((each) => each !== 'stopped')).toEqual(['run', 'before', 'run', 'after'])
    expect(await kindsOf(nodes, asked, 'question')).toBe(1)
    expect(await kindsOf(nodes, asked, 'claim')).toBe(1)
  })

  test('is claimed once, however many come for it', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { store, count: 3 })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await untilParked(nodes, asked)
    const places = [0, 1, 2, 0, 1, 2]
    const all = await Promise.all(places.map((node) => caller.retry(asked, [`from ${node}`], { node })))
    expect(new Set(all.map((each) => textOf(each))).size).toBe(1)
    expect(await kindsOf(nodes, asked, 'claim')).toBe(1)
    expect(happened.count('after')).toBe(1)
  })

  test('may wait as often as it likes', async () => {
    const questions = ['a', 'b', 'c', 'd', 'e', 'f']
    const work: Work = async (ctx) => {
      const said: string[] = []
      for (const question of questions) said.push(await ask(ctx, question))
      return said.join('')
    }
    await using nodes = await start(work, { store, settings: { maxAttempts: 2 } })
    const caller = new Caller(new Alone(nodes))
    let answer = await caller.last()
    for (const [place, question] of questions.entries()) {
      await untilParked(nodes, resultOf(answer))
      answer = await caller.retry(resultOf(answer), [question], { node: place % 2 })
    }
    expect(textOf(answer)).toBe('abcdef')
  })

  test('is shown what it is asked again, if it comes without answers', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { store })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await untilParked(nodes, asked)
    const again = resultOf(await caller.retry(asked, [], { node: 1 }))
    expect(again.inputRequests).toEqual(asked.inputRequests)
    await waitFor(async () => (await kindsOf(nodes, asked, 'parked')) === 2)
    expect(textOf(await caller.retry(again, ['Ann']))).toBe('hello Ann, run 1')
    expect(happened.count('before')).toBe(1)
  })

  test('that is cancelled meanwhile ends', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { store })
    const client = new Alone(nodes)
    const caller = new Caller(client)
    const asked = resultOf(await caller.last({}, { id: 7 }))
    await untilParked(nodes, asked)
    const scope = scopeOf(asked)
    const item = encodeInboxItem({
      kind: 'cancelled',
      requestKey: requestKeyPrefix(7),
      reason: 'not wanted',
    })
    await nodes.stores[1]!.append(scope, `call:${scope}:in`, item, {
      nonce: 'n',
      maxLength: 10,
      ifOpen: scope,
    })
    const message = 'The call was cancelled: not wanted'
    // On a busy machine the client is told once more what is asked before the node has seen the item.
    await expect.poll(() => caller.retry(asked, [], { node: 1 })).toMatchObject({ error: { message } })
    expect(happened.count('run')).toBe(1)
  })

  test('goes when its client does not come', async () => {
    const { work } = greeter()
    const settings = { inputTtlMs: 600, resumeWindowMs: 200 }
    await using nodes = await start(work, { store, settings })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await untilParked(nodes, asked)
    await waitFor(async () => (await nodes.stores[0]!.readSession(scopeOf(asked))) === undefined)
    const late = await caller.request({ requestState: asked.requestState })
    const body = await expectJson<{ error: unknown }>(late)
    expect(body.error).toMatchObject({ data: { reason: 'invalid_request_state' } })
  })

  test('is cancelled when its client comes too late', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { store, settings: { inputTtlMs: 600 } })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await untilParked(nodes, asked)
    const parked = (await recordsOf(nodes, asked)).find((record) => record.kind === 'parked')
    await waitFor(() => Date.now() >= (parked?.parked.answerBy ?? Infinity))
    const message = 'The call was cancelled: The client has not answered in time.'
    expect(await caller.retry(asked, ['Ann'], { node: 1 })).toMatchObject({ error: { message } })
    expect(happened.count('after')).toBe(0)
    expect(await ownersOf(nodes, asked)).toEqual([])
  })
})

type Claimed = Awaited<ReturnType<Store['claimCall']>>

/** A store that does something around the moment at which a call is parked. */
function aroundParking(around: (park: () => Promise<Claimed>) => Promise<Claimed>): NodesOptions['wrap'] {
  return (store) =>
    overriding(store, {
      claimCall: (scope, callId, claim) => {
        const act = () => store.claimCall(scope, callId, claim)
        return claim.to === NOBODY ? around(act) : act()
      },
    })
}

describe('an answer that comes as its call is parked', () => {
  test('before it is: the call goes on where it is', async () => {
    const { work, happened } = greeter()
    const parking = new Happenings()
    let answered: () => void = () => undefined
    const isAnswered = new Promise<void>((resolve) => (answered = resolve))
    const wrap = aroundParking(async (park) => {
      parking.add('begun')
      await isAnswered
      return park()
    })
    await using nodes = await start(work, { wrap })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await parking.until('begun')
    const scope = scopeOf(asked)
    const retried = caller.retry(asked, ['Ann'], { node: 1 })
    const inbox = `call:${scope}:in` as const
    await waitFor(async () => (await nodes.stores[1]!.read(scope, inbox, BEGINNING, 1))?.length === 1)
    answered()
    expect(textOf(await retried)).toBe('hello Ann, run 1')
    expect(happened.count('run')).toBe(1)
    expect(await kindsOf(nodes, asked, 'parked')).toBe(0)
  })

  test('before its node knows that it is: another one goes on', async () => {
    const { work, happened } = greeter()
    const parking = new Happenings()
    let answered: () => void = () => undefined
    const isAnswered = new Promise<void>((resolve) => (answered = resolve))
    const wrap = aroundParking(async (park) => {
      const parked = await park()
      parking.add('parked')
      await isAnswered
      return parked
    })
    await using nodes = await start(work, { wrap })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await parking.until('parked')
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('hello Ann, run 1')
    answered()
    expect(happened.count('after')).toBe(1)
    expect(await kindsOf(nodes, asked, 'claim')).toBe(1)
  })
})

describe('a node that leaves', () => {
  test('does not wait for clients', async () => {
    const { work, happened } = greeter()
    await using nodes = await start(work, { settings: { serverIdleMs: 60_000 } })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    await nodes.mcp(0).close({ graceMs: Infinity })
    expect(await kindsOf(nodes, asked, 'claim')).toBe(0)
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('hello Ann, run 1')
    expect(happened.count('before')).toBe(1)
  })

  test('nor for those that are asked meanwhile', async () => {
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.atLeastOnce('before', async () => {
        happened.add('before')
        await gate
      })
      return ask(ctx, 'name')
    }
    await using nodes = await start(work, { settings: { serverIdleMs: 60_000 } })
    const caller = new Caller(new Alone(nodes))
    await using stream = await caller.client.call('work', caller.args, {
      meta: { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } },
    })
    const priming = await stream.next()
    await happened.until('before')
    const closing = nodes.mcp(0).close({ graceMs: Infinity })
    go()
    await closing
    await using resumed = await caller.client.stream(priming?.id, { node: 1 })
    const asked = resultOf((await resumed.messages()).at(-1))
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('Ann')
    expect(happened.count('before')).toBe(1)
  })
})

test('while the store is away, a call is parked once, however often its node looks', async () => {
  const happened = new Happenings()
  const entries = new Set<string>()
  let isAway = true
  const wrap = (own: Store) =>
    overriding(own, {
      setDue: async (entry, at) => {
        entries.add(entry.nonce)
        happened.add('tried')
        if (isAway) throw new StoreError('store-timeout', 'away')
        await own.setDue(entry, at)
      },
      claimCall: async (scope, callId, claim) => {
        if (claim.to === ASLEEP) happened.add('parked')
        return own.claimCall(scope, callId, claim)
      },
    })
  const work: Work = async (ctx) => {
    await ctx.sleep('long', 3_600_000)
    return 'woken'
  }
  await using nodes = await start(work, { wrap })
  await new Alone(nodes).call('work', { text: 'x' })
  await happened.until('tried', 5)
  isAway = false
  await happened.until('parked')
  expect(entries.size).toBe(1)
})

describe('what stays in memory', () => {
  /** Of two calls of a node, what may be parked is; then the other one was looked at too. */
  async function expectStays(nodes: Nodes, tool: string) {
    const client = new Alone(nodes)
    const stays = resultOf(await new Caller(client, tool).last())
    await untilParked(nodes, resultOf(await new Caller(client).last()))
    const [owner] = await ownersOf(nodes, stays)
    expect(owner).not.toBe(NOBODY)
    return stays
  }

  test('a call of a plain tool, whose outcome is unknown when its node is gone', async () => {
    const server = () => {
      const made = durableServer((ctx) => ask(ctx, 'name'))
      made.registerTool('plain', { inputSchema: { text: z.string() } }, async () => ({
        content: [{ type: 'text', text: await ask(durableContext(), 'name') }],
      }))
      return made
    }
    await using nodes = await startNodes({ settings: { eras: ERAS, server, ...IDLE } })
    const asked = await expectStays(nodes, 'plain')
    await nodes.mcp(0).close({ graceMs: 0 })
    const retried = await new Caller(new Alone(nodes), 'plain').retry(asked, ['Ann'], { node: 1 })
    expect(textOf(retried)).toContain('outcome is unknown')
  })

  test.each([
    [
      'one that works beside',
      async (ctx: DurableContext) => {
        const working = ctx.atLeastOnce('work', ({ signal }) => {
          return new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('')))
        })
        return (await Promise.all([ask(ctx, 'name'), working])).join()
      },
    ],
  ])('%s', async (_, work) => {
    const server = () => durableServer((ctx) => ask(ctx, 'name'), { other: work })
    await using nodes = await startNodes({ settings: { eras: ERAS, server, ...IDLE } })
    await expectStays(nodes, 'other')
  })
})
