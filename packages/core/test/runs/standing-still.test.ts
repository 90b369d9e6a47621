import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { runsOf } from '../../src/runs/index.js'
import type { CallPlace } from '../../src/runs/index.js'
import type { DurableContext } from '../../src/index.js'
import { encodeRecord } from '../../src/call/record.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// Whoever acts on a call stands still: a laptop that sleeps, a store that is slow. The nodes find dead what is not heard of.

const NODES = 2

function start(work: (ctx: DurableContext) => Promise<string>, store: (typeof STORES)[number]) {
  const server = () => durableServer(work)
  const settings = { server, validateEffects: false, heartbeatMs: 200, sweepMs: 50, serverIdleMs: 50 }
  return startNodes({ count: NODES, store, settings })
}

/** Before each operation it waits until the nodes know nobody but themselves. */
function standingStill(store: Store): Store {
  return new Proxy(store, {
    get: (of, name) => {
      const own: unknown = Reflect.get(of, name, of)
      if (typeof own !== 'function') return own
      return async (...args: unknown[]) => {
        await waitFor(async () => (await store.listNodes()).length === NODES, {
          what: 'that nobody else is known',
        })
        return own.apply(of, args) as unknown
      }
    },
  })
}

async function begin(nodes: Nodes): Promise<CallPlace> {
  const stream = await new Alone(nodes).call('work', { text: 'x' })
  const [callId = ''] = String((await stream.next())?.id).split('.')
  void stream.messages().catch(() => undefined)
  return { scope: callId, callId }
}

async function lastOf(store: Store, { scope, callId }: CallPlace) {
  return ((await store.read(scope, `call:${callId}`, BEGINNING, 1000)) ?? []).at(-1)?.data ?? ''
}
const ended = (store: Store, call: CallPlace) =>
  waitFor(async () => /^(response|cancelled) /.test(await lastOf(store, call)), {
    what: 'the end of the call',
  })

/** A call that sleeps for an hour, and that no node owns. */
async function asleep(nodes: Nodes) {
  const call = await begin(nodes)
  const owner = async () => (await nodes.stores[0]!.listOpenCalls(call.scope))[0]?.owner
  await waitFor(async () => (await owner()) === '-', { what: 'that it sleeps' })
  return call
}

async function nap(ctx: DurableContext) {
  await ctx.sleep('nap', 3_600_000)
  return 'done'
}

describe.each(STORES)('what is handed over by who stands still before each operation, %s', (kind) => {
  test('is run: a call that is done again, and one that slept', async () => {
    const happened = new Happenings()
    const work = async (ctx: DurableContext) => {
      await ctx.atLeastOnce('try', () => happened.add('try'))
      if (happened.count('try') === 1) throw new Error('no')
      return nap(ctx)
    }
    await using nodes = await start(work, kind)
    const [store] = nodes.stores
    const slow = runsOf(standingStill(store!), { by: 'ann' })
    const old = await begin(nodes)
    await ended(store!, old)
    const { call } = await slow.retry(old)
    await happened.until('try', 2)
    const owner = async () => (await store!.listOpenCalls(call.scope))[0]?.owner
    await waitFor(async () => (await owner()) === '-', { what: 'that it sleeps' })
    await slow.resume(call)
    await ended(store!, call)
    expect(await lastOf(store!, call)).toContain('done')
    expect(happened.count('try')).toBe(2)
  })

  test('is cancelled', async () => {
    await using nodes = await start(nap, kind)
    const [store] = nodes.stores
    const call = await asleep(nodes)
    await runsOf(standingStill(store!), { by: 'ann' }).cancel(call)
    await ended(store!, call)
    expect(await lastOf(store!, call)).toMatch(/^cancelled /)
  })
})

/** As if it were claimed by who died before it was known to the nodes again. */
async function lose(store: Store, { scope, callId }: CallPlace, from: string) {
  const owner = randomUUID()
  const passed = { node: owner, nonce: randomUUID(), by: 'ann', action: 'resume' } as const
  const data = encodeRecord({ kind: 'passed', passed })
  expect(await store.claimCall(scope, callId, { from, to: owner, data, counts: 0 })).toBeDefined()
}

describe.each(STORES)('a call whose owner is in no list, %s', (kind) => {
  test('is cancelled, or woken, by whoever tries again', async () => {
    await using nodes = await start(nap, kind)
    const [store] = nodes.stores
    const runs = runsOf(store!, { by: 'bob' })
    for (const [act, end] of [
      ['cancel', /^cancelled /],
      ['resume', /^response .*done/],
    ] as const) {
      const call = await asleep(nodes)
      await lose(store!, call, '-')
      await runs[act](call)
      await ended(store!, call)
      expect(await lastOf(store!, call)).toMatch(end)
    }
  })

  test('is handed over by a resumption where it sleeps no more, and not where its owner lives', async () => {
    const happened = new Happenings()
    const work = async (ctx: DurableContext) => {
      happened.add('run')
      if (happened.count('run') === 1)
        await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
      return 'done'
    }
    await using nodes = await start(work, kind)
    const [store] = nodes.stores
    const runs = runsOf(store!, { by: 'bob' })
    const call = await begin(nodes)
    await happened.until('run')
    await expect(runs.resume(call)).rejects.toMatchObject({ code: 'run-awake' })
    const [open] = await store!.listOpenCalls(call.scope)
    await lose(store!, call, open!.owner)
    await runs.resume(call)
    await ended(store!, call)
    expect(await lastOf(store!, call)).toContain('done')
  })
})
