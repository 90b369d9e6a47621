import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { ASLEEP, isParked } from '../../src/store/index.js'
import type { PlaceOwner } from '../../src/store/index.js'
import { StoreError } from '../../src/errors.js'
import { ask } from '../support/caller.js'
import { overriding } from '../support/overriding.js'
import { QUEUED, QueuedTaker, start } from '../support/queued.js'
import type { Work } from '../support/queued.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

/** What node 0 gives back is given back, and it does not hear of it; it does it again when `again` has happened. */
function unheard(happened: Happenings) {
  let count = 0
  return (own: Store, node: number) => {
    if (node !== 0) return own
    return overriding(own, {
      releasePlaces: async (...args) => {
        const number = ++count
        if (number === 2) await happened.until('again')
        const isWaitedFor = await own.releasePlaces(...args)
        if (number === 1) throw new StoreError('store-timeout', 'no answer')
        if (number === 2) happened.add('done again')
        return isWaitedFor
      },
    })
  }
}

const startUnheard = (happened: Happenings, store: StoreKind) => {
  const work: Work = async (ctx, { text }) => {
    const answer = text === 'asks' ? await ask(ctx, 'name') : text
    happened.add(`runs ${text}`)
    await happened.until(`go ${text}`)
    return answer
  }
  const settings = { serverIdleMs: 50 }
  const wrap = unheard(happened)
  return start(work, [{ runsAtOnce: 1 }], { store, wrap, settings, task: 'always' })
}

/** A task that has asked, and gave its place back as it was parked. */
async function parked(taker: QueuedTaker) {
  const asking = await taker.begin('asks')
  const asked = await taker.until(asking, 'input_required')
  await taker.untilParked(asking)
  return asked
}

describe.each(STORES)('a place that is given back once more, long after its call was parked, %s', (store) => {
  test('leaves the call in the queue in which it has come since', async () => {
    const happened = new Happenings()
    await using nodes = await startUnheard(happened, store)
    const taker = new QueuedTaker(nodes)
    const asking = await parked(taker)
    const other = await taker.begin('other', { node: 1 })
    await happened.until('runs other')
    await taker.answer(asking, 'Ann', { node: 1 })
    await taker.untilQueued(asking)
    happened.add('again')
    await happened.until('done again')
    for (const text of ['other', 'asks']) happened.add(`go ${text}`)
    await taker.until(other, 'completed', { node: 1 })
    const { result } = await taker.until(asking, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('Ann')
  })

  test('is not the one in which the call runs again', async () => {
    const happened = new Happenings()
    await using nodes = await startUnheard(happened, store)
    const taker = new QueuedTaker(nodes)
    const asking = await parked(taker)
    await taker.answer(asking, 'Ann', { node: 1 })
    await happened.until('runs asks')
    happened.add('again')
    await happened.until('done again')
    const other = await taker.begin('other', { node: 1 })
    await taker.untilQueued(other)
    expect(happened.count('runs other')).toBe(0)
    for (const text of ['asks', 'other']) happened.add(`go ${text}`)
    await taker.until(asking, 'completed', { node: 1 })
    await taker.until(other, 'completed', { node: 1 })
  })
})

// What stores make of it is in their contract.
test('a place is given back although another node has looked at it just before its call is parked', async () => {
  const happened = new Happenings()
  const work: Work = async (ctx, { text }) => {
    if (text === 'asks') await ask(ctx, 'name')
    return text
  }
  let touched: { at: number; names: readonly string[] } | undefined
  const wrap = (own: Store) =>
    overriding(own, {
      touchPlaces: async (call, names) => {
        touched = { at: Date.now(), names }
        return own.touchPlaces(call, names)
      },
      claimCall: async (scope, callId, claim) => {
        // As of who finds the quota full: at this call, if it has had its place since before.
        if (isParked(claim.to) && touched)
          await own.oldPlaces(touched.names[0]!, Date.now() - touched.at + 5, 100)
        return own.claimCall(scope, callId, claim)
      },
      releasePlaces: async (...args) => {
        const isWaitedFor = await own.releasePlaces(...args)
        happened.add('given back')
        return isWaitedFor
      },
    })
  const settings = { serverIdleMs: 50 }
  await using nodes = await start(work, [{ runsAtOnce: 1 }], {
    store: 'memory',
    wrap,
    settings,
    task: 'always',
  })
  const taker = new QueuedTaker(nodes)
  await parked(taker)
  await happened.until('given back')
  const other = await taker.begin('other', { node: 1 })
  expect(other).not.toMatchObject(QUEUED)
  await taker.until(other, 'completed', { node: 1 })
})

describe.each(STORES)('turns, %s', (store) => {
  test('a node that is slow to look takes no place for a task that has ended elsewhere', async () => {
    const happened = new Happenings()
    const work: Work = async (_ctx, { text }) => {
      happened.add(`begun ${text}`)
      if (text === 'first') await happened.until('go')
      return text
    }
    const wrap = (own: Store, node: number) => {
      if (node !== 0) return own
      return overriding(own, {
        turnOf: async (call) => {
          if (happened.count('looks') > 0) return own.turnOf(call)
          happened.add('looks')
          await happened.until('ended')
          return own.turnOf(call).finally(() => happened.add('has looked'))
        },
      })
    }
    await using nodes = await start(work, [{ runsAtOnce: 1 }], { store, wrap })
    const taker = new QueuedTaker(nodes)
    const first = await taker.begin('first', { node: 1 })
    const second = await taker.begin('second', { node: 0 })
    expect(second).toMatchObject(QUEUED)
    await happened.until('looks')
    happened.add('go')
    await taker.until(first, 'completed', { node: 1 })
    await taker.until(second, 'completed', { node: 1 })
    happened.add('ended')
    await happened.until('has looked')
    await taker.begin('third', { node: 1 })
    await happened.until('begun third')
  })

  test('a call that was claimed without an answer leaves the queue, too', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx, { text }) => {
      if (text === 'asks') return ask(ctx, 'name')
      await happened.until('go')
      return text
    }
    const wrap = (own: Store) =>
      overriding(own, {
        claimCall: async (scope, callId, claim) => {
          const claimed = await own.claimCall(scope, callId, claim)
          if (claim.from !== ASLEEP || happened.count('lost') > 0) return claimed
          happened.add('lost')
          throw new StoreError('store-timeout', 'no answer')
        },
      })
    const settings = { leaseMs: 1000, heartbeatMs: 50, serverIdleMs: 50 }
    await using nodes = await start(work, [{ runsAtOnce: 1 }], { store, wrap, settings, task: 'always' })
    const taker = new QueuedTaker(nodes)
    await taker.begin('first')
    const asking = await taker.begin('asks', { node: 1 })
    expect(asking).toMatchObject(QUEUED)
    happened.add('go')
    await taker.until(asking, 'input_required')
    expect(happened.count('lost')).toBe(1)
    expect(await nodes.stores[0]!.turnOf({ scope: asking.taskId, callId: asking.taskId })).toBeUndefined()
  })

  test('a call that could not leave the queue is not woken again and again', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx, { text }) => {
      happened.add(`begun ${text}`)
      if (text === 'second') await ctx.sleep('long', 3_600_000)
      return text
    }
    const wrap = (own: Store) =>
      overriding(own, {
        // A minute is short here, and else as it is.
        takePlaces: (call, quotas, queued = []) => {
          const brief = (all: typeof quotas) =>
            all.map((each) => (each.windowMs ? { ...each, windowMs: 300 } : each))
          return own.takePlaces(call, brief(quotas), brief(queued))
        },
        leaveQueue: async (turn) => {
          happened.add('leaves')
          if (happened.count('leaves') === 1) throw new StoreError('store-failed', 'away for a moment')
          await own.leaveQueue(turn)
          happened.add('has left')
        },
      })
    const settings = { leaseMs: 1000, heartbeatMs: 50, serverIdleMs: 50 }
    await using nodes = await start(work, [{ startsPerMinute: 1 }], { store, wrap, settings, task: 'always' })
    const taker = new QueuedTaker(nodes)
    await taker.begin('first')
    const second = await taker.begin('second', { node: 1 })
    expect(second).toMatchObject(QUEUED)
    await happened.until('has left')
    expect(await nodes.stores[0]!.turnOf({ scope: second.taskId, callId: second.taskId })).toBeUndefined()
    expect(happened.count('begun second')).toBeLessThanOrEqual(2)
  })

  const LEASE = { leaseMs: 300, heartbeatMs: 50 }
  const held = (happened: Happenings): Work => {
    return async (_ctx, { text }) => {
      happened.add(`begun ${text}`)
      if (text === 'first') await happened.until('go')
      return text
    }
  }
  test('those of calls that were never opened do not hold up the others one after another', async () => {
    const happened = new Happenings()
    let isLost = false
    const wrap = (own: Store) =>
      overriding(own, {
        takePlaces: async (...args) => {
          const full = await own.takePlaces(...args)
          if (isLost) throw new StoreError('store-timeout', 'no answer')
          return full
        },
        // As of a node that dies in between.
        releasePlaces: (...args) => (isLost ? Promise.resolve(true) : own.releasePlaces(...args)),
      })
    await using nodes = await start(held(happened), [{ runsAtOnce: 1 }], { store, wrap, settings: LEASE })
    const taker = new QueuedTaker(nodes)
    const first = await taker.begin('first')
    isLost = true
    for (let n = 0; n < 60; n++) expect((await taker.request('lost', { node: n % 2 })).status).toBe(503)
    isLost = false
    const last = await taker.begin('last', { node: 1 })
    expect(last).toMatchObject(QUEUED)
    happened.add('go')
    await taker.until(first, 'completed')
    await happened.until('begun last')
    expect(happened.count('begun lost')).toBe(0)
  })

  test('those of calls that are refused since the store did not answer are given back', async () => {
    const happened = new Happenings()
    let lost: PlaceOwner | undefined
    const wrap = (own: Store) =>
      overriding(own, {
        takePlaces: async (call, ...args) => {
          const full = await own.takePlaces(call, ...args)
          if (!full || lost) return full
          lost = call
          throw new StoreError('store-timeout', 'no answer')
        },
      })
    await using nodes = await start(held(happened), [{ runsAtOnce: 1 }], { store, wrap })
    const taker = new QueuedTaker(nodes)
    await taker.begin('first')
    expect((await taker.request('lost')).status).toBe(503)
    await waitFor(async () => (await nodes.stores[0]!.turnOf(lost!)) === undefined)
    happened.add('go')
  })

  test('a task that was taken for gone before it was opened begins', async () => {
    const happened = new Happenings()
    let slow: PlaceOwner | undefined
    const wrap = (own: Store, node: number) =>
      node !== 0
        ? own
        : overriding(own, {
            openCall: async (call) => {
              slow = call
              await happened.until('is gone')
              return own.openCall(call)
            },
          })
    await using nodes = await start(held(happened), [{ runsAtOnce: 1 }], { store, wrap, settings: LEASE })
    const taker = new QueuedTaker(nodes)
    await taker.begin('first', { node: 1 })
    const calling = taker.begin('slow', { node: 0 })
    await waitFor(() => slow !== undefined)
    happened.add('go')
    await waitFor(async () => (await nodes.stores[1]!.turnOf(slow!)) === undefined)
    happened.add('is gone')
    await calling
    await happened.until('begun slow')
  })
})
