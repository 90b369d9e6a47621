import { describe, expect, test } from 'vitest'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { encodeRecord, parseRecord } from '../../src/call/record.js'
import { requestKeyPrefix } from '../../src/ids.js'
import type { DurableContext } from '../../src/index.js'
import { ASLEEP, BEGINNING, NOBODY } from '../../src/store/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import type { Store } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { ask, Caller, CAPABILITIES, resultOf } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// Calls that do nothing but sleep are parked, and woken when their time has come.

const ERAS = ['2025-11-25', '2026-07-28'] as const
/** Parked as soon as a node looks, which it does twenty times a second. */
const IDLE = { serverIdleMs: 50, validateEffects: false }
/** Longer than what is not worth to be parked. */
const NAP_MS = 2500
const LONG_MS = 60_000

type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>

function start(work: Work, { settings, ...options }: NodesOptions = {}) {
  const server = () => durableServer(work)
  return startNodes({ ...options, settings: { eras: ERAS, server, ...IDLE, ...settings } })
}

/** Sleeps between two steps. */
function sleeper(ms = NAP_MS) {
  const happened = new Happenings()
  const work: Work = async (ctx) => {
    happened.add('run')
    ctx.signal.addEventListener('abort', () => happened.add('stopped'))
    await ctx.atLeastOnce('before', () => happened.add('before'))
    await ctx.sleep('nap', ms)
    await ctx.atLeastOnce('after', () => happened.add('after'))
    return `woken, run ${ctx.attempt}`
  }
  return { work, happened }
}

/** A call whose stream is open, by the id of its first event. */
async function begin(nodes: Nodes, where: { node?: number; id?: number } = {}) {
  const stream = await new Alone(nodes).call('work', { text: 'x' }, { meta: CAPABILITIES, ...where })
  const first = await stream.next()
  const [scope = ''] = String(first?.id).split('.')
  return { stream, scope, first: first?.id }
}

async function ownerOf(nodes: Nodes, scope: string, node = 0) {
  return (await nodes.stores[node]!.listOpenCalls(scope))[0]?.owner
}

const untilAsleep = (nodes: Nodes, scope: string) =>
  waitFor(async () => (await ownerOf(nodes, scope)) === ASLEEP)

async function recordsOf(nodes: Nodes, scope: string) {
  const entries = await nodes.stores[0]!.read(scope, `call:${scope}`, BEGINNING, 1000)
  return (entries ?? []).map(({ data }) => parseRecord(data))
}

async function kindsOf(nodes: Nodes, scope: string, kind: string) {
  return (await recordsOf(nodes, scope)).filter((record) => record.kind === kind).length
}

/** What is left of the entries of calls that are due. */
const dueAfter = async (store: Store) => (await store.takeDue(0, 0, 1)).next

describe.each(STORES)('a durable call that only sleeps, %s', (store) => {
  test('is let go of, woken on time, and its open stream gets the rest', async () => {
    const { work, happened } = sleeper()
    await using nodes = await start(work, { store })
    const { stream, scope } = await begin(nodes)
    await using _ = stream
    await untilAsleep(nodes, scope)
    await happened.until('stopped')
    const parked = (await recordsOf(nodes, scope)).find((record) => record.kind === 'parked')
    expect(textOf((await stream.messages()).at(-1))).toBe('woken, run 1')
    expect(Date.now()).toBeGreaterThanOrEqual(parked?.parked.wakeAt ?? Infinity)
    expect(happened.all.filter((each) => each !== 'stopped')).toEqual(['run', 'before', 'run', 'after'])
    expect(await kindsOf(nodes, scope, 'claim')).toBe(1)
    await waitFor(async () => (await dueAfter(nodes.stores[0]!)) === undefined)
  })

  test('is woken by another node, if its own is gone', async () => {
    const { work } = sleeper()
    await using nodes = await start(work, { store })
    const { stream, scope, first } = await begin(nodes)
    await untilAsleep(nodes, scope)
    await nodes.mcp(0).close({ graceMs: 0 })
    await stream[Symbol.asyncDispose]()
    await using resumed = await new Alone(nodes).stream(first, { node: 1 })
    expect(textOf((await resumed.messages()).at(-1))).toBe('woken, run 1')
    expect(await kindsOf(nodes, scope, 'claim')).toBe(1)
  })

  test('sleeps on, although a client looks at it', async () => {
    const { work, happened } = sleeper(LONG_MS)
    await using nodes = await start(work, { store })
    const { stream, scope, first } = await begin(nodes)
    await using _ = stream
    await untilAsleep(nodes, scope)
    await using again = await new Alone(nodes).stream(first, { node: 1 })
    await again.next()
    await using other = await begin(nodes, { node: 1 }).then(({ stream: another, scope: place }) =>
      untilAsleep(nodes, place).then(() => another),
    )
    await other[Symbol.asyncDispose]()
    expect(await ownerOf(nodes, scope)).toBe(ASLEEP)
    expect(happened.count('run')).toBe(2)
  })

  test('is woken, although a node that had claimed it before reads of it only after another one has parked it', async () => {
    const { work } = sleeper()
    const gate = new Happenings()
    let isSlow = false
    const wrap = (wrapped: Store) =>
      overriding(wrapped, {
        read: async (...args) => {
          if (isSlow) await gate.until('open')
          return wrapped.read(...args)
        },
      })
    const own = { count: 1, store, wrap, settings: { resumeWindowMs: LONG_MS } }
    await using nodes = await start(work, own)
    const { stream, scope } = await begin(nodes)
    await using _ = stream
    await untilAsleep(nodes, scope)
    isSlow = true
    await waitFor(async () => ![ASLEEP, undefined].includes(await ownerOf(nodes, scope)))
    const owner = (await ownerOf(nodes, scope)) ?? ''
    const [shared] = nodes.stores
    const claim = encodeRecord({ kind: 'claim', claim: { node: 'other', nonce: 'a' } })
    await shared!.claimCall(scope, scope, { from: owner, to: 'other', data: claim })
    const wakeAt = Date.now() + 1000
    await shared!.setDue({ scope, callId: scope, nonce: 'b' }, wakeAt)
    const parked = encodeRecord({ kind: 'parked', parked: { node: 'other', nonce: 'b', wakeAt } })
    await shared!.claimCall(scope, scope, { from: 'other', to: ASLEEP, data: parked })
    gate.add('open')
    expect(textOf((await stream.messages()).at(-1))).toMatch(/^woken/)
  })

  test('is left to the other nodes by one that leaves while it looks', async () => {
    const { work } = sleeper()
    const gate = new Happenings()
    let mayOthers = false
    const wrap = (wrapped: Store, node: number) =>
      overriding(wrapped, {
        takeDue: async (...args) => {
          if (node === 1 && !mayOthers) return { due: [], next: undefined }
          const taken = await wrapped.takeDue(...args)
          if (taken.due.length === 0 || mayOthers) return taken
          gate.add('taken')
          await gate.until('closing')
          return taken
        },
      })
    await using nodes = await start(work, { store, wrap })
    const { stream, first } = await begin(nodes)
    await gate.until('taken')
    const closed = nodes.mcp(0).close({ graceMs: 0 })
    await stream[Symbol.asyncDispose]()
    gate.add('closing')
    await closed
    mayOthers = true
    await using resumed = await new Alone(nodes).stream(first, { node: 1 })
    expect(textOf((await resumed.messages()).at(-1))).toMatch(/^woken, run [12]$/)
  })

  test('that is cancelled meanwhile ends, and leaves nothing behind', async () => {
    const { work, happened } = sleeper(LONG_MS)
    const settings = { onDisconnect: 'cancel' } as const
    await using nodes = await start(work, { store, settings })
    const { stream, scope } = await begin(nodes, { id: 7 })
    await untilAsleep(nodes, scope)
    await stream[Symbol.asyncDispose]()
    await waitFor(async () => (await ownerOf(nodes, scope)) === undefined)
    expect(await kindsOf(nodes, scope, 'cancelled')).toBe(1)
    expect(happened.count('after')).toBe(0)
    await waitFor(async () => (await dueAfter(nodes.stores[0]!)) === undefined)
  })

  test('and asks, goes on when the answer comes', async () => {
    const work: Work = async (ctx) => {
      const late = ctx.sleep('long', LONG_MS).then(() => 'late')
      return Promise.race([ask(ctx, 'name'), late])
    }
    await using nodes = await start(work, { store })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    const [scope = ''] = asked.requestState.split('.')
    await waitFor(async () => (await ownerOf(nodes, scope)) === NOBODY)
    expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('Ann')
    await waitFor(async () => (await dueAfter(nodes.stores[0]!)) === undefined)
  })

  test('and asks, goes on when its time has come', async () => {
    const work: Work = async (ctx) => {
      const late = ctx.sleep('nap', NAP_MS).then(() => 'late')
      return Promise.race([ask(ctx, 'name'), late])
    }
    await using nodes = await start(work, { store })
    const caller = new Caller(new Alone(nodes))
    const asked = resultOf(await caller.last())
    const [scope = ''] = asked.requestState.split('.')
    await waitFor(async () => (await ownerOf(nodes, scope)) === NOBODY)
    await waitFor(async () => (await ownerOf(nodes, scope)) === undefined)
    expect(textOf(await caller.retry(asked, [], { node: 1 }))).toBe('late')
  })

  test('is kept until long after it was to be woken', async () => {
    const { work } = sleeper(LONG_MS)
    const settings = { sessionTtlMs: 5000, resumeWindowMs: 100, onDisconnect: 'finish' } as const
    await using nodes = await start(work, { store, settings, count: 1 })
    const { stream, scope } = await begin(nodes)
    await untilAsleep(nodes, scope)
    // Whoever has a stream of it open keeps a session alive, for less.
    await nodes.stores[0]!.keepAlive(scope, [scope], 100)
    await stream[Symbol.asyncDispose]()
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(await ownerOf(nodes, scope)).toBe(ASLEEP)
  })
})

/** A store that does something around the moment at which a call is parked. */
function aroundParking(
  around: (park: () => ReturnType<Store['claimCall']>) => ReturnType<Store['claimCall']>,
) {
  return (store: Store) =>
    overriding(store, {
      claimCall: (scope, callId, claim) => {
        const act = () => store.claimCall(scope, callId, claim)
        return claim.to === ASLEEP ? around(act) : act()
      },
    })
}

describe('a call is parked late', () => {
  test('after its time: it is found by the entry that was made before', async () => {
    const { work } = sleeper()
    const parking = new Happenings()
    const wrap: NodesOptions['wrap'] = (store, node) =>
      node === 0
        ? aroundParking(async () => {
            parking.add('begun')
            return new Promise(() => undefined)
          })(store)
        : store
    await using nodes = await start(work, {
      wrap,
      settings: { leaseMs: 1000, heartbeatMs: 100, sweepMs: 100 },
    })
    /** Of a call that is asleep for less than a busy node takes to park it, this is not seen. */
    const tries = async (): Promise<{ scope: string; messages: JsonRpcMessage[] }> => {
      const { stream, scope } = await begin(nodes)
      await using _ = stream
      const messages = await stream.messages()
      return parking.count('begun') > 0 ? { scope, messages } : await tries()
    }
    const { scope, messages } = await tries()
    // The handler goes on at its own node, whose claim has not come through.
    expect(textOf(messages.at(-1))).toBe('woken, run 1')
    expect(await kindsOf(nodes, scope, 'claim')).toBe(0)
    await waitFor(async () => (await dueAfter(nodes.stores[1]!)) === undefined)
  })
})

test('a call that has gone on before it is parked stays where it is', async () => {
  const happened = new Happenings()
  let end: () => void = () => undefined
  const paid = new Promise<string>((resolve) => (end = () => resolve('paid once')))
  const work: Work = async (ctx) => {
    await ctx.sleep('nap', NAP_MS)
    return ctx.atMostOnce('pay', () => {
      happened.add('paying')
      return paid
    })
  }
  const wrap = aroundParking(async (park) => {
    await happened.until('paying')
    const parked = await park()
    happened.add(parked ? 'parked' : 'refused')
    end()
    return parked
  })
  await using nodes = await start(work, { wrap })
  const { stream } = await begin(nodes)
  await using _ = stream
  expect(textOf((await stream.messages()).at(-1))).toBe('paid once')
  expect(happened.all).toEqual(['paying', 'refused'])
})

test('what was left for a call before it is parked keeps it where it is', async () => {
  const { work } = sleeper(LONG_MS)
  let left = false
  const wrap: NodesOptions['wrap'] = (store) =>
    overriding(store, {
      setDue: async (entry, at) => {
        await store.setDue(entry, at)
        if (left) return
        left = true
        const item = encodeInboxItem({ kind: 'cancelled', requestKey: requestKeyPrefix(7), reason: 'no' })
        const options = { nonce: 'n', maxLength: 10, ifOpen: entry.callId }
        await store.append(entry.scope, `call:${entry.callId}:in`, item, options)
      },
    })
  await using nodes = await start(work, { wrap })
  const { stream, scope } = await begin(nodes, { id: 7 })
  await using _ = stream
  await waitFor(async () => (await ownerOf(nodes, scope)) === undefined)
  expect(await kindsOf(nodes, scope, 'parked')).toBe(0)
  await waitFor(async () => (await dueAfter(nodes.stores[0]!)) === undefined)
})

describe('a node that leaves', () => {
  test('does not wait for calls that sleep', async () => {
    const { work, happened } = sleeper(LONG_MS)
    await using nodes = await start(work, { settings: { serverIdleMs: 60_000 } })
    const { stream, scope } = await begin(nodes)
    await using _ = stream
    await happened.until('before')
    await nodes.mcp(0).close({ graceMs: Infinity })
    expect(await ownerOf(nodes, scope, 1)).toBe(ASLEEP)
    expect(await kindsOf(nodes, scope, 'claim')).toBe(0)
  })
})

test('what is done beside a short sleep keeps the call where it is', async () => {
  let end: () => void = () => undefined
  const done = new Promise<string>((resolve) => (end = () => resolve('done')))
  const work: Work = async (ctx) => {
    const working = ctx.atLeastOnce('work', () => done)
    return Promise.race([working, ctx.sleep('nap', LONG_MS).then(() => 'late')])
  }
  const other = sleeper(LONG_MS)
  const server = () => durableServer(work, { other: other.work })
  await using nodes = await startNodes({ settings: { eras: ERAS, server, ...IDLE } })
  const { stream, scope } = await begin(nodes)
  await using _ = stream
  await using beside = await new Alone(nodes).call('other', { text: 'x' }, { meta: CAPABILITIES })
  const [asleep = ''] = String((await beside.next())?.id).split('.')
  // What may be parked is; then the other one was looked at too.
  await untilAsleep(nodes, asleep)
  expect(await ownerOf(nodes, scope)).not.toBe(ASLEEP)
  end()
  expect(textOf((await stream.messages()).at(-1))).toBe('done')
})

test('calls that are due at once are woken soon, and by all nodes', async () => {
  const CALLS = 300
  const ends = Date.now() + 6000
  const woken = new Happenings()
  const work: Work = async (ctx) => {
    await ctx.sleep('nap', Math.max(0, ends - Date.now()))
    woken.add('woken')
    return ''
  }
  await using nodes = await start(work, { store: 'redis', settings: { onDisconnect: 'finish' } })
  const scopes: string[] = []
  for (let call = 0; call < CALLS; call++) {
    const { stream, scope } = await begin(nodes, { node: call % 2 })
    await stream[Symbol.asyncDispose]()
    scopes.push(scope)
  }
  await waitFor(() => woken.count('woken') === CALLS)
  const records = (await Promise.all(scopes.map((scope) => recordsOf(nodes, scope)))).flat()
  const claims = records.flatMap((record) => (record.kind === 'claim' ? [record.claim.node] : []))
  // Those that began late sleep for too short a time to be parked.
  expect(claims).toHaveLength(records.filter(({ kind }) => kind === 'parked').length)
  expect(new Set(claims).size).toBe(2)
})
