import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { StoreError } from '../../src/errors.js'
import { ask } from '../support/caller.js'
import { overriding } from '../support/overriding.js'
import { QUEUED, start, Taker } from '../support/queued.js'
import type { Work } from '../support/queued.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'

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

/** A task that has asked, and gave its place back as it was parked. */
async function parked(happened: Happenings, store: (typeof STORES)[number]) {
  const work: Work = async (ctx, { text }) => {
    const answer = text === 'asks' ? await ask(ctx, 'name') : text
    happened.add(`runs ${text}`)
    await happened.until(`go ${text}`)
    return answer
  }
  const settings = { serverIdleMs: 50 }
  const nodes = await start(work, [{ runsAtOnce: 1 }], {
    store,
    wrap: unheard(happened),
    settings,
    task: 'always',
  })
  const taker = new Taker(nodes)
  const asking = await taker.call('asks')
  const asked = await taker.until(asking, 'input_required')
  await taker.untilParked(asking)
  return { nodes, taker, asking, asked }
}

describe.each(STORES)('a place that is given back once more, long after its call was parked, %s', (store) => {
  test('leaves the call in the queue in which it has come since', async () => {
    const happened = new Happenings()
    const { nodes: all, taker, asking, asked } = await parked(happened, store)
    await using _nodes = all
    const other = await taker.call('other', { node: 1 })
    await happened.until('runs other')
    await taker.answer(asked, 'Ann', { node: 1 })
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
    const { nodes: all, taker, asking, asked } = await parked(happened, store)
    await using _nodes = all
    await taker.answer(asked, 'Ann', { node: 1 })
    await happened.until('runs asks')
    happened.add('again')
    await happened.until('done again')
    const other = await taker.call('other', { node: 1 })
    await taker.untilQueued(other)
    expect(happened.count('runs other')).toBe(0)
    for (const text of ['asks', 'other']) happened.add(`go ${text}`)
    await taker.until(asking, 'completed', { node: 1 })
    await taker.until(other, 'completed', { node: 1 })
  })
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
          happened.add('looks')
          await happened.until('ended')
          return own.turnOf(call).finally(() => happened.add('has looked'))
        },
      })
    }
    await using nodes = await start(work, [{ runsAtOnce: 1 }], { store, wrap })
    const taker = new Taker(nodes)
    const first = await taker.call('first', { node: 1 })
    const second = await taker.call('second', { node: 0 })
    expect(second).toMatchObject(QUEUED)
    await happened.until('looks')
    happened.add('go')
    await taker.until(first, 'completed', { node: 1 })
    await taker.until(second, 'completed', { node: 1 })
    happened.add('ended')
    await happened.until('has looked')
    await taker.call('third', { node: 1 })
    await happened.until('begun third')
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
    const settings = { leaseMs: 500, heartbeatMs: 50, serverIdleMs: 50 }
    await using nodes = await start(work, [{ startsPerMinute: 1 }], { store, wrap, settings, task: 'always' })
    const taker = new Taker(nodes)
    await taker.call('first')
    const second = await taker.call('second', { node: 1 })
    expect(second).toMatchObject(QUEUED)
    await happened.until('has left')
    expect(await nodes.stores[0]!.turnOf({ scope: second.taskId, callId: second.taskId })).toBeUndefined()
    expect(happened.count('begun second')).toBeLessThanOrEqual(2)
  })
})
