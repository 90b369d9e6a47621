import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { requestKeyPrefix } from '../../src/ids.js'
import { CallTimeline } from '../../src/inspect/index.js'
import { ASLEEP, OLDEST } from '../../src/store/index.js'
import { ask } from '../support/caller.js'
import { overriding } from '../support/overriding.js'
import { QUEUED, QueuedTaker, start } from '../support/queued.js'
import type { Work } from '../support/queued.js'
import { expectJson, expectRefused } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

/** Says who has begun, and goes on when it may. */
function gated() {
  const happened = new Happenings()
  const begun: string[] = []
  const work: Work = async (ctx, { text }) => {
    begun.push(text)
    await happened.until(`go ${text}`)
    return `${text} in run ${ctx.attempt}`
  }
  return { work, begun, happened, go: (text: string) => happened.add(`go ${text}`) }
}

describe.each(STORES)('tasks over a quota, %s', (store) => {
  test('begin although the node of the one before died before it gave back the place of it', async () => {
    const { work, go } = gated()
    // What that node would have done next is never done, as if it were dead by then.
    const wrap = (own: Store, node: number) =>
      node === 0
        ? overriding(own, { releasePlaces: () => new Promise(() => undefined), oldPlaces: async () => [] })
        : own
    const settings = { leaseMs: 300, heartbeatMs: 50 }
    const quotas = [{ tool: 'work', runsAtOnce: 1 }]
    await using nodes = await start(work, quotas, { store, wrap, settings })
    const taker = new QueuedTaker(nodes)
    const first = await taker.begin('0')
    const second = await taker.begin('1', { node: 1 })
    expect(second).toMatchObject(QUEUED)
    go('0')
    go('1')
    await taker.until(first, 'completed', { node: 1 })
    await taker.until(second, 'completed', { node: 1 })
  })

  test('that are cancelled before they are nobody’s end', async () => {
    const { work, go } = gated()
    const item = encodeInboxItem({ kind: 'cancelled', requestKey: requestKeyPrefix(77), reason: 'Enough.' })
    const wrap = (own: Store) =>
      overriding(own, {
        claimCall: async (scope, callId, claim) => {
          // By who has sent the same request, or looks at all calls.
          const options = { nonce: '1', maxLength: 10, ifOpen: callId }
          if (claim.to === ASLEEP) await own.append(scope, `call:${callId}:in`, item, options)
          return own.claimCall(scope, callId, claim)
        },
      })
    await using nodes = await start(work, [{ tool: 'work', runsAtOnce: 1 }], { store, wrap })
    const taker = new QueuedTaker(nodes)
    await taker.begin('0')
    const task = await taker.begin('1', { node: 1, id: 77 })
    expect(task).toMatchObject(QUEUED)
    await taker.until(task, 'cancelled')
    go('0')
  })

  test('are made at once, wait for their turn, and begin in their order', async () => {
    const { work, begun, go } = gated()
    await using nodes = await start(work, [{ tool: 'work', runsAtOnce: 1 }], { store })
    const taker = new QueuedTaker(nodes)
    const first = await taker.begin('0', { node: 1 })
    const tasks = [first]
    for (const text of ['1', '2', '3']) {
      const task = await taker.begin(text, { node: Number(text) % 2 })
      expect(task).toMatchObject(QUEUED)
      expect(await taker.get(task, { node: 1 })).toMatchObject({ ...QUEUED, resultType: 'complete' })
      tasks.push(task)
    }
    expect(begun).toEqual(['0'])
    const { taskId } = tasks[1]!
    const timeline = new CallTimeline(taskId)
    const entries = (await nodes.stores[1]!.read(taskId, `call:${taskId}`, OLDEST, 100)) ?? []
    for (const entry of entries) timeline.add({ ...entry, at: 0 })
    expect(timeline).toMatchObject({ isQueued: true, status: 'open' })
    for (const [n, task] of tasks.entries()) {
      await waitFor(() => begun.length === n + 1)
      expect(await taker.get(task)).not.toHaveProperty('statusMessage')
      go(String(n))
      const { result } = await taker.until(task, 'completed')
      expect(result?.content[0]?.text).toBe(`${n} in run 1`)
    }
    expect(begun).toEqual(['0', '1', '2', '3'])
    expect((await taker.request('4')).status).toBe(200)
  })

  test('of many that come at once, no more run than may, on both nodes together, and all end', async () => {
    let [running, most] = [0, 0]
    const texts: string[] = []
    const work: Work = async (ctx, { text }) => {
      most = Math.max(most, ++running)
      texts.push(text)
      await ctx.atLeastOnce('step', async () => new Promise((resolve) => setImmediate(resolve)))
      running--
      return text
    }
    await using nodes = await start(work, [{ runsAtOnce: 3 }, { tool: 'work', runsAtOnce: 5 }], { store })
    const taker = new QueuedTaker(nodes)
    const all = Array.from({ length: 50 }, (_, n) => String(n))
    const calls = await Promise.all(all.map((text, n) => taker.begin(text, { node: n % 2 })))
    for (const task of calls) if (task.resultType === 'task') await taker.until(task, 'completed')
    expect(most).toBeLessThanOrEqual(3)
    expect(texts.toSorted()).toEqual(all.toSorted())
  })

  test('a request that can’t be a task does not pass those that wait', async () => {
    const { work, go } = gated()
    await using nodes = await start(work, [{ runsAtOnce: 1 }], { store })
    const taker = new QueuedTaker(nodes)
    const tasks = [await taker.begin('a'), await taker.begin('b')]
    await expectRefused(await taker.request('c', { meta: {} }), 429)
    go('a')
    await taker.until(tasks[0]!, 'completed')
    await expectRefused(await taker.request('c', { meta: {} }), 429)
    go('b')
    await taker.until(tasks[1]!, 'completed')
  })

  test('a task that waits can be cancelled, and makes room for one that is open', async () => {
    const { work, begun, go } = gated()
    await using nodes = await start(work, [{ runsAtOnce: 1 }, { tool: 'work', maxOpen: 3 }], { store })
    const taker = new QueuedTaker(nodes)
    const [first, second, third] = [await taker.begin('a'), await taker.begin('b'), await taker.begin('c')]
    await expectRefused(await taker.request('d'), 429)
    await expectJson(await taker.about('cancel', second.taskId, {}, { node: 1 }))
    expect(await taker.until(second, 'cancelled')).not.toHaveProperty('statusMessage')
    await waitFor(async () => (await taker.request('d')).status === 200)
    expect(begun).toEqual(['a'])
    go('a')
    await taker.until(first, 'completed')
    await waitFor(() => begun.length === 2)
    expect(begun).toEqual(['a', 'c'])
    go('c')
    await taker.until(third, 'completed')
  })

  test('what was queued by a node that has left begins on another one', async () => {
    const { work, begun, go } = gated()
    await using nodes = await start(work, [{ runsAtOnce: 1 }], { store })
    const taker = new QueuedTaker(nodes)
    const first = await taker.begin('a', { node: 1 })
    const second = await taker.begin('b', { node: 0 })
    expect(second).toMatchObject(QUEUED)
    await nodes.mcp(0).close({ graceMs: 0 })
    go('a')
    await taker.until(first, 'completed', { node: 1 })
    await waitFor(() => begun.length === 2)
    go('b')
    await taker.until(second, 'completed', { node: 1 })
  })

  test('a task that waits for longer than its ttlMs is cancelled, and makes room for one that is open', async () => {
    const { work, begun, go } = gated()
    const quotas = [{ runsAtOnce: 1 }, { maxOpen: 2 }]
    await using nodes = await start(work, quotas, { store, settings: { taskTtlMs: 300 } })
    const taker = new QueuedTaker(nodes)
    // No task, which may run for as long as it likes.
    const holds = await taker.request('a', { meta: {} })
    await waitFor(() => begun.length === 1)
    const waiting = await taker.begin('b', { node: 1 })
    expect(waiting).toMatchObject(QUEUED)
    await waitFor(async () => (await taker.ownerOf(waiting)) === undefined)
    // Its place is given back behind its end.
    await waitFor(async () => (await taker.request('c', { node: 1 })).status === 200)
    for (const text of ['a', 'c']) go(text)
    await holds.text()
    await waitFor(async () => (await taker.request('d', { node: 1 })).status === 200)
    expect(begun).not.toContain('b')
  })

  test('a call that has waited for its client takes its turn again', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx, { text }) => {
      happened.add(`begun ${text}`)
      if (text === 'asks') return ask(ctx, 'name')
      await happened.until(`go ${text}`)
      return text
    }
    const options = { store, settings: { serverIdleMs: 50 }, task: 'always' } as const
    await using nodes = await start(work, [{ runsAtOnce: 1 }], options)
    const taker = new QueuedTaker(nodes)
    const asking = await taker.begin('asks')
    const asked = await taker.until(asking, 'input_required')
    await taker.untilParked(asking)
    await waitFor(async () => {
      const other = await taker.begin('other', { node: 1 })
      return other.statusMessage === undefined
    })
    await happened.until('begun other')
    await taker.answer(asked, 'Ann', { node: 1 })
    await taker.untilQueued(asking)
    expect(await taker.ownerOf(asking)).toBe(ASLEEP)
    expect(happened.count('begun asks')).toBe(1)
    happened.add('go other')
    const { result } = await taker.until(asking, 'completed')
    expect(result?.content[0]?.text).toBe('Ann')
  })
})
