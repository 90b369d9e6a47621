import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import { begin, contents, HOUR, newCall, open, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

export function callContract(create: CreateStores, exactSizes: boolean) {
  const stores = useStores(create)

  test('opening writes the first entry, and admits', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { protocolVersion: 'mine' })
    await store.putState(scope, { key: 'k', data: 'x', nonce: 'n' }, { maxKeys: 9 })
    await store.saveDelivered(scope, '7-0')
    const call = newCall(scope, { data: 'the request' })
    const opened = await store.openCall(call)
    expect(opened).toEqual({
      status: 'opened',
      id: expect.stringMatching(/^\d{13,}-1$/),
      admission: { protocolVersion: 'mine', version: 2, delivered: '7-0', values: 0 },
    })
    if (opened.status !== 'opened') return
    const log = `call:${call.callId}` as const
    expect(await peer.read(scope, log, BEGINNING, 10)).toEqual([{ id: opened.id, data: 'the request' }])
    expect(await peer.read(scope, log, opened.id, 10)).toEqual([])
    expect(await peer.findCalls(scope, call.requestKeys[0] ?? '')).toEqual([call.callId])
  })

  test('only the principal of a live session opens calls', async () => {
    const { store } = stores
    const scope = await begin(store)
    const call = newCall(scope)
    for (const principal of ['mallory', '', undefined]) {
      expect(await store.openCall({ ...call, principal })).toEqual({ status: 'unknown' })
    }
    expect(await store.openCall({ ...call, scope: 'unknown' })).toEqual({ status: 'unknown' })
    expect(await store.read(scope, `call:${call.callId}`, BEGINNING, 10)).toEqual([])
    expect(await store.findCalls(scope, '')).toEqual([])
    const nobodys = await begin(store, { principal: undefined })
    expect((await store.openCall(newCall(nobodys, { principal: undefined }))).status).toBe('opened')
  })

  test('opening the same call again opens nothing more', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = newCall(scope, { maxOpenCalls: 1 })
    const first = await store.openCall(call)
    expect(first.status).toBe('opened')
    expect(await peer.openCall(call)).toEqual(first)
    expect(await contents(store, scope, `call:${call.callId}`)).toEqual(['request'])
    if (first.status !== 'opened') return
    const next = `${first.id.split('-')[0]}-2`
    await store.appendCall(scope, call.callId, [{ id: next, data: 'more' }])
    expect(await peer.openCall(call)).toEqual(first)
    expect(await contents(store, scope, `call:${call.callId}`)).toEqual(['request', 'more'])
  })

  test('a request that is open already is attached to', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { protocolVersion: 'mine' })
    const call = await open(store, scope, { requestKeys: ['k1', 'k2'], maxOpenCalls: 2 })
    const again = newCall(scope, { requestKeys: ['k1'], data: 'again', maxOpenCalls: 2 })
    expect(await peer.openCall(again)).toEqual({
      status: 'attached',
      callId: call.callId,
      admission: { protocolVersion: 'mine', version: 1, delivered: BEGINNING, values: 0 },
    })
    expect(await store.read(scope, `call:${again.callId}`, BEGINNING, 10)).toEqual([])
    expect(await contents(store, scope, call.log)).toEqual(['request'])
    expect(await peer.openCall({ ...again, principal: 'mallory' })).toEqual({ status: 'unknown' })
  })

  test('of two that open the same request at once, one attaches to the other', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const calls = [newCall(scope, { requestKeys: ['k'] }), newCall(scope, { requestKeys: ['k'] })] as const
    const [one, two] = await Promise.all([store.openCall(calls[0]), peer.openCall(calls[1])])
    expect([one.status, two.status].toSorted()).toEqual(['attached', 'opened'])
    const winner = one.status === 'opened' ? calls[0] : calls[1]
    const loser = one.status === 'opened' ? two : one
    expect(loser).toMatchObject({ callId: winner.callId })
  })

  test('request keys of different sessions have nothing to do with each other', async () => {
    const { store } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    const call = await open(store, scope, { requestKeys: ['k'] })
    const theirs = await open(store, other, { requestKeys: ['k'] })
    expect(await store.findCalls(scope, 'k')).toEqual([call.callId])
    expect(await store.findCalls(other, 'k')).toEqual([theirs.callId])
    expect(await store.read(other, call.log, BEGINNING, 10)).toEqual([])
  })

  test.runIf(exactSizes)('at most so many bytes in the requests of open calls', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const maxOpenBytes = 100_000
    const of = (bytes: number, more = {}) => ({ data: 'ü'.repeat(bytes / 2), maxOpenBytes, ...more })
    const first = await open(store, scope, of(90_000))
    const small = await open(peer, scope, of(16_384))
    expect(await peer.openCall(newCall(scope, of(16_386)))).toEqual({ status: 'limit' })
    expect((await store.openCall(newCall(scope, { data: 'x'.repeat(90_000) }))).status).toBe('opened')
    await open(peer, scope, of(16_384))
    const close = { requestKeys: small.requestKeys, retainMs: HOUR }
    await store.appendCall(scope, small.callId, [{ id: `${small.epoch}-2`, data: 'done' }], close)
    expect((await store.openCall(newCall(scope, of(20_000)))).status).toBe('limit')
    expect((await store.openCall({ ...first, ...of(90_000) })).status, 'repeated').toBe('opened')
    const busy = await begin(store)
    for (let n = 0; n < 20; n++) {
      const { callId, epoch, requestKeys } = await open(n % 2 ? store : peer, busy, of(60_000))
      await store.appendCall(busy, callId, [{ id: `${epoch}-2`, data: 'done' }], {
        requestKeys,
        retainMs: HOUR,
      })
    }
    const other = await begin(store)
    const large = await open(store, other, of(200_000))
    expect(await store.openCall(newCall(other, of(16_386)))).toEqual({ status: 'limit' })
    await store.appendCall(other, large.callId, [{ id: `${large.epoch}-2`, data: 'done' }], {
      requestKeys: large.requestKeys,
      retainMs: HOUR,
    })
    expect((await store.openCall(newCall(other, of(16_386)))).status).toBe('opened')
  })

  test('at most so many open requests, counted over all calls', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const maxOpenCalls = 3
    const batch = await open(store, scope, { requestKeys: ['a', 'b'], maxOpenCalls })
    const tooMany = newCall(scope, { requestKeys: ['c', 'd'], maxOpenCalls })
    expect(await peer.openCall(tooMany)).toEqual({ status: 'limit' })
    expect(await store.read(scope, `call:${tooMany.callId}`, BEGINNING, 10)).toEqual([])
    expect(await store.findCalls(scope, 'c')).toEqual([])
    await open(peer, scope, { requestKeys: ['e'], maxOpenCalls })
    expect(await store.openCall(newCall(scope, { maxOpenCalls }))).toEqual({ status: 'limit' })
    expect((await store.openCall(newCall(scope, { requestKeys: ['a'], maxOpenCalls }))).status).toBe(
      'attached',
    )

    const close = { requestKeys: batch.requestKeys, retainMs: HOUR }
    await store.appendCall(scope, batch.callId, [{ id: `${batch.epoch}-2`, data: 'done' }], close)
    expect((await peer.openCall(tooMany)).status).toBe('opened')
  })

  test('the limit holds when calls are opened at once', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const attempts = Array.from({ length: 20 }, (_, i) =>
      (i % 2 ? store : peer).openCall(newCall(scope, { maxOpenCalls: 7 })),
    )
    const statuses = (await Promise.all(attempts)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 'opened')).toHaveLength(7)
    expect(statuses.filter((status) => status === 'limit')).toHaveLength(13)
  })

  test('calls are found by the beginning of a request key', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const one = await open(store, scope, { requestKeys: ['x:1', 'x:2', 'y:1'] })
    const two = await open(store, scope, { requestKeys: ['x:10', '*[a-z]?'] })
    const find = async (prefix: string) => (await peer.findCalls(scope, prefix)).toSorted()
    expect(await find('x:')).toEqual([one.callId, two.callId].toSorted())
    expect(await find('x:1')).toEqual([one.callId, two.callId].toSorted())
    expect(await find('x:2')).toEqual([one.callId])
    expect(await find('*')).toEqual([two.callId])
    expect(await find('')).toEqual([one.callId, two.callId].toSorted())
    expect(await find('z')).toEqual([])
    expect(await find('x:100')).toEqual([])
    expect(await peer.findCalls('unknown', '')).toEqual([])
  })

  test('200 calls at once over two nodes', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const calls = await Promise.all(Array.from({ length: 200 }, (_, i) => open(i % 2 ? store : peer, scope)))
    expect(new Set(await store.findCalls(scope, ''))).toEqual(new Set(calls.map(({ callId }) => callId)))
    const results = await Promise.all(
      calls.map(({ callId, epoch, requestKeys }, i) => {
        const close = { requestKeys, retainMs: HOUR }
        return (i % 3 ? store : peer).appendCall(
          scope,
          callId,
          [{ id: `${epoch}-2`, data: randomUUID() }],
          close,
        )
      }),
    )
    expect(new Set(results)).toEqual(new Set(['appended']))
    expect(await peer.findCalls(scope, '')).toEqual([])
  })
}
