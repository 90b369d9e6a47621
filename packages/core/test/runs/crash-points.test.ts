import { describe, expect, test } from 'vitest'
import { RunRefusedError, runsOf } from '../../src/runs/index.js'
import type { CallPlace } from '../../src/runs/index.js'
import type { DurableContext } from '../../src/index.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { STORES } from '../support/stores.js'
import { Taker } from '../support/taker.js'
import { overriding } from '../support/overriding.js'
import { Gates, Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// Whoever acts on a call dies between any two of the operations of the store.

type Work = (ctx: DurableContext) => Promise<string>

function start(work: Work, store: (typeof STORES)[number]) {
  // Room for what is left by those who die.
  const quotas = [{ maxOpen: 500, runsAtOnce: 100 }]
  const server = () => durableServer(work)
  const settings = { server, quotas, validateEffects: false, heartbeatMs: 200, sweepMs: 50 }
  return startNodes({ store, settings })
}

/** Fails the `at`-th operation and all that follow. Whether it is applied, nobody hears. */
function dying(store: Store, at: number, applied: boolean): { store: Store; died: () => boolean } {
  let count = 0
  const proxy = new Proxy(store, {
    get: (of, name) => {
      const own: unknown = Reflect.get(of, name, of)
      if (typeof own !== 'function') return own
      return async (...args: unknown[]) => {
        if (++count === at && applied) await (own.apply(of, args) as Promise<unknown>)
        if (count >= at) throw new Error('died')
        return own.apply(of, args) as unknown
      }
    },
  })
  return { store: proxy, died: () => count >= at }
}

async function begin(nodes: Nodes, id: number): Promise<CallPlace> {
  const stream = await new Alone(nodes).call('work', { text: 'x' }, { id })
  const first = await stream.next()
  const [callId = ''] = String(first?.id).split('.')
  void stream.messages().catch(() => undefined)
  return { scope: callId, callId }
}

async function lastOf(store: Store, { scope, callId }: CallPlace) {
  return ((await store.read(scope, `call:${callId}`, BEGINNING, 1000)) ?? []).at(-1)?.data ?? ''
}
const hasEnded = async (store: Store, call: CallPlace) =>
  /^(response|cancelled) /.test(await lastOf(store, call))

/** All that was made of a call, by what stands in its inbox. */
async function madeOf(store: Store, { scope, callId }: CallPlace): Promise<CallPlace[]> {
  const inbox = (await store.read(scope, `call:${callId}:in`, BEGINNING, 100)) ?? []
  return inbox
    .filter(({ data }) => data.startsWith('became '))
    .map(({ data }) => JSON.parse(data.slice('became '.length)) as CallPlace)
}

const refused = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof RunRefusedError) return error.code
      throw error
    },
  )

/** More than any of them takes. */
const MOST = 24
const APPLIED = [true, false]

describe.each(STORES)('who acts dies at any operation, %s', (kind) => {
  test('of a retry: it is done once, or not at all, and then it can be', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.atLeastOnce('try', () => happened.add('try'))
      throw new Error('no')
    }
    await using nodes = await start(work, kind)
    const [store] = nodes.stores
    let died = 0
    for (let at = 1; at <= MOST; at++) {
      for (const applied of APPLIED) {
        const old = await begin(nodes, at)
        await waitFor(() => hasEnded(store!, old))
        const before = happened.count('try')
        const dead = dying(store!, at, applied)
        await runsOf(dead.store, { by: 'ann' })
          .retry(old)
          .catch(() => undefined)
        if (!dead.died()) continue
        died++
        const code = await refused(runsOf(store!, { by: 'bob' }).retry(old))
        const made = await madeOf(store!, old)
        expect(made, `at ${at}`).toHaveLength(1)
        // It was noted and not opened: within a minute it may still be.
        if (code === 'run-busy') continue
        if (code !== undefined) {
          expect(code).toBe('run-retried')
          const resumed = await refused(runsOf(store!, { by: 'bob' }).resume(made[0]!))
          expect([undefined, 'run-awake', 'run-ended']).toContain(resumed)
        }
        await waitFor(() => hasEnded(store!, made[0]!), { what: `the end, at ${at}` })
        expect(happened.count('try'), `at ${at}`).toBe(before + 1)
      }
    }
    expect(died).toBeGreaterThan(10)
  })

  test('of a fork: what stands before its step is never done again', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.atLeastOnce('before', () => happened.add('before'))
      await ctx.atLeastOnce('after', () => happened.add('after'))
      return 'done'
    }
    await using nodes = await start(work, kind)
    const [store] = nodes.stores
    const old = await begin(nodes, 1)
    await waitFor(() => hasEnded(store!, old))
    let died = 0
    for (let at = 1; at <= MOST; at++) {
      for (const applied of APPLIED) {
        const dead = dying(store!, at, applied)
        const known = (await madeOf(store!, old)).length
        const after = happened.count('after')
        await runsOf(dead.store, { by: 'ann' })
          .fork(old, { from: { name: 'after' } })
          .catch(() => undefined)
        const [made] = (await madeOf(store!, old)).slice(known)
        if (!dead.died() || !made) continue
        died++
        const opened = await lastOf(store!, made)
        const code = await refused(runsOf(store!, { by: 'bob' }).resume(made))
        // Not opened, or it lacks steps: then it is never run.
        if (opened === '') expect(code).toBe('run-gone')
        else if (opened.startsWith('request ')) expect(code).toBe('run-awake')
        else {
          await waitFor(() => hasEnded(store!, made), { what: `the end, at ${at}` })
          expect(happened.count('after'), `at ${at}`).toBe(after + 1)
        }
      }
    }
    expect(happened.count('before')).toBe(1)
    expect(died).toBeGreaterThan(8)
  })

  test('of a cancellation and of a resumption: they can be had again', async () => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.sleep('nap', 3_600_000)
      happened.add('woke')
      await ctx.sleep('nap again', 3_600_000)
      return 'done'
    }
    await using nodes = await start(work, kind)
    const [store] = nodes.stores
    for (let at = 1; at <= 10; at++) {
      for (const applied of APPLIED) {
        const call = await begin(nodes, at)
        const sleeps = async () => (await lastOf(store!, call)).includes('deadline')
        await waitFor(sleeps)
        const before = happened.count('woke')
        const resuming = dying(store!, at, applied)
        await runsOf(resuming.store, { by: 'ann' })
          .resume(call)
          .catch(() => undefined)
        // Has it been heard? It sleeps on, or again.
        if (happened.count('woke') === before && resuming.died()) {
          const woken = (await store!.read(call.scope, `call:${call.callId}:in`, BEGINNING, 9)) ?? []
          if (woken.length === 0) await runsOf(store!, { by: 'bob' }).resume(call)
        }
        await happened.until('woke', before + 1)
        const cancelling = dying(store!, at, applied)
        await runsOf(cancelling.store, { by: 'ann' })
          .cancel(call)
          .catch(() => undefined)
        await refused(runsOf(store!, { by: 'bob' }).cancel(call))
        await waitFor(() => hasEnded(store!, call))
        expect(await lastOf(store!, call)).toMatch(/^cancelled /)
        expect(happened.count('woke')).toBe(before + 1)
      }
    }
  })
})

test.each(STORES)(
  'who stood still in a retry for longer than a minute makes no second one, %s',
  async (kind) => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.atLeastOnce('try', () => happened.add('try'))
      throw new Error('no')
    }
    await using nodes = await start(work, kind)
    const store = nodes.stores[0]!
    // Of either it is waited for, at the operation before which it stands still.
    for (const stop of ['openCall', 'read'] as const) {
      const old = await begin(nodes, 1)
      await waitFor(() => hasEnded(store, old))
      const before = happened.count('try')
      const gates = new Gates()
      let noted = false
      const slow = overriding(store, {
        append: async (...args) => {
          const id = await store.append(...args)
          noted = true
          return id
        },
        [stop]: async (...args: never[]) => {
          if (noted) {
            happened.add(`stands still ${stop}`)
            await gates.pass('go on', new AbortController().signal)
          }
          return (store[stop] as (...given: never[]) => Promise<never>)(...args)
        },
      })
      const first = runsOf(slow, { by: 'ann' }).retry(old)
      await happened.until(`stands still ${stop}`)
      // The nonce of the note is forgotten after a minute.
      const later = overriding(store, {
        append: (scope, log, data, options) => store.append(scope, log, data, { ...options, nonce: 'later' }),
      })
      const { call } = await runsOf(later, { by: 'bob' }).retry(old)
      gates.open('go on')
      await expect(first).rejects.toMatchObject({ name: 'RunRefusedError', call })
      await waitFor(() => hasEnded(store, call))
      // It has left nothing behind that could be run, or has a place.
      const [refusedOne] = await madeOf(store, old)
      expect(await refused(runsOf(store, { by: 'carl' }).resume(refusedOne!))).toBe('run-gone')
      const [record] = (await store.read(call.scope, `call:${call.callId}`, BEGINNING, 1)) ?? []
      const { quotas } = JSON.parse(record!.data.slice('request '.length)) as { quotas: { name: string }[] }
      const places = await Promise.all(quotas.map(({ name }) => store.oldPlaces(name, 0, 100)))
      expect(quotas.length).toBeGreaterThan(0)
      expect(places.flat().map(({ callId }) => callId)).not.toContain(refusedOne!.callId)
      expect(happened.count('try')).toBe(before + 1)
    }
  },
)

test.each(STORES)(
  'who dies before it finds that another retry was quicker leaves nothing that is run, %s',
  async (kind) => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      await ctx.atLeastOnce('try', () => happened.add('try'))
      throw new Error('no')
    }
    await using nodes = await start(work, kind)
    const store = nodes.stores[0]!
    const old = await begin(nodes, 1)
    await waitFor(() => hasEnded(store, old))
    const later = overriding(store, {
      append: (scope, log, data, options) => store.append(scope, log, data, { ...options, nonce: 'later' }),
    })
    let isDead = false
    const doomed = overriding(store, {
      openCall: async (call) => {
        await runsOf(later, { by: 'bob' }).retry(old)
        const opened = await store.openCall(call)
        isDead = true
        return opened
      },
      read: async (...args) => {
        if (isDead) throw new Error('died')
        return store.read(...args)
      },
    })
    await expect(runsOf(doomed, { by: 'ann' }).retry(old)).rejects.toThrow('died')
    const [left, made] = await madeOf(store, old)
    await waitFor(() => hasEnded(store, made!))
    expect(await refused(runsOf(store, { by: 'carl' }).resume(left!))).toBe('run-busy')
    await runsOf(store, { by: 'carl' }).cancel(left!)
    await waitFor(() => hasEnded(store, left!))
    expect(happened.count('try')).toBe(2)
  },
)

/** Ann notes a retry, then Bob; she opens hers when `beforeAnnOpens` of Bob has resolved, and dies. */
async function bothNoted(nodes: Nodes, beforeAnnOpens: (bob: Store, old: CallPlace) => Promise<unknown>) {
  const store = nodes.stores[0]!
  const old = await begin(nodes, 1)
  await waitFor(() => hasEnded(store, old))
  const bob = overriding(store, {
    append: (scope, log, data, options) => store.append(scope, log, data, { ...options, nonce: 'later' }),
  })
  const ann = dyingOnceOpened(store, () => beforeAnnOpens(bob, old))
  await expect(runsOf(ann, { by: 'ann' }).retry(old)).rejects.toThrow('died')
  const [anns, bobs] = await madeOf(store, old)
  return { store, anns: anns!, bobs: bobs! }
}

function dyingOnceOpened(store: Store, beforeItOpens?: () => Promise<unknown>): Store {
  let isDead = false
  return overriding(store, {
    openCall: async (call) => {
      await beforeItOpens?.()
      const opened = await store.openCall(call)
      isDead = true
      return opened
    },
    read: async (...args) => {
      if (isDead) throw new Error('died')
      return store.read(...args)
    },
  })
}

describe.each(STORES)('of two retries at once, %s', (kind) => {
  const failing = (happened: Happenings): Work => {
    return async (ctx) => {
      await ctx.atLeastOnce('try', () => happened.add('try'))
      throw new Error('no')
    }
  }

  test('the one that was opened can be resumed, and the other one is opened for nothing later', async () => {
    const happened = new Happenings()
    await using nodes = await start(failing(happened), kind)
    const gates = new Gates()
    let retry: Promise<unknown> | undefined
    const { store, anns, bobs } = await bothNoted(nodes, (bob, old) => {
      const slow = overriding(bob, {
        openCall: async (call) => {
          happened.add('stands still')
          await gates.pass('go on', new AbortController().signal)
          return bob.openCall(call)
        },
      })
      retry = runsOf(slow, { by: 'bob' }).retry(old)
      return happened.until('stands still')
    })
    const carl = runsOf(store, { by: 'carl' })
    await carl.resume(anns)
    gates.open('go on')
    await expect(retry).rejects.toMatchObject({ name: 'RunRefusedError', call: { callId: anns.callId } })
    await waitFor(() => hasEnded(store, anns))
    expect(await refused(carl.resume(bobs))).toBe('run-gone')
    expect(happened.count('try')).toBe(2)
  })

  test('the last one can be resumed where both were opened, and the other one goes', async () => {
    const happened = new Happenings()
    await using nodes = await start(failing(happened), kind)
    const { store, anns, bobs } = await bothNoted(nodes, (bob, old) =>
      expect(runsOf(dyingOnceOpened(bob), { by: 'bob' }).retry(old)).rejects.toThrow('died'),
    )
    const carl = runsOf(store, { by: 'carl' })
    expect(await refused(carl.resume(anns))).toBe('run-busy')
    await carl.resume(bobs)
    await waitFor(() => hasEnded(store, bobs))
    expect(await refused(carl.resume(anns))).toBe('run-gone')
    expect(happened.count('try')).toBe(2)
  })
})

test.each(STORES)(
  'what is made of a task is a task, which its client has by its new id, %s',
  async (store) => {
    const happened = new Happenings()
    const work: Work = async (ctx) => {
      happened.add('run')
      const isFirst = happened.count('run') === 1
      if (isFirst) await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
      else await happened.until('go')
      return 'done'
    }
    await using nodes = await start(work, store)
    const taker = new Taker(nodes)
    const task = await taker.call()
    const place = { scope: task.taskId, callId: task.taskId }
    const runs = runsOf(nodes.stores[0]!, { by: 'ann' })
    await runs.cancel(place)
    await taker.until(task, 'cancelled', { node: 1 })
    const { call } = await runs.retry(place)
    const again = { ...task, taskId: call.callId }
    const isTask = async () => (await taker.about('get', call.callId)).status === 200
    await waitFor(async () => (await isTask()) && (await taker.get(again))?.status === 'working')
    happened.add('go')
    const { result } = await taker.until(again, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('done')
  },
)
