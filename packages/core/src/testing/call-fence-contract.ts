import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import { begin, contents, waitFor, HOUR, newCall, once, open, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

export function callFenceContract(create: CreateStores) {
  const stores = useStores(create)

  async function start() {
    const scope = await begin(stores.store)
    const call = await open(stores.store, scope)
    const entry = (epoch: number, seq: number, data = `${epoch - call.epoch}:${seq}`) => ({
      id: `${epoch}-${seq}`,
      data,
    })
    const mine = (seq: number, data?: string) => entry(call.epoch, seq, data)
    const theirs = (seq: number, data?: string) => entry(call.epoch + 1, seq, data)
    const close = (retainMs = HOUR) => ({ requestKeys: call.requestKeys, retainMs })
    return { ...stores, scope, call, mine, theirs, close }
  }

  test('entries are read as they were appended', async () => {
    const { store, peer, scope, call, mine } = await start()
    expect(await store.appendCall(scope, call.callId, [mine(2), mine(3)])).toBe('appended')
    expect(await store.appendCall(scope, call.callId, [mine(9), mine(10), mine(11)])).toBe('appended')
    expect(await peer.read(scope, call.log, call.id, 10)).toEqual([2, 3, 9, 10, 11].map((seq) => mine(seq)))
    expect(await peer.read(scope, call.log, mine(9).id, 1)).toEqual([mine(10)])
    expect(await peer.read(scope, call.log, mine(8).id, 10)).toBeUndefined()
    expect(await contents(peer, scope, call.log)).toEqual(['request', '0:2', '0:3', '0:9', '0:10', '0:11'])
  })

  test('a repeated append is applied once', async () => {
    const { store, scope, call, mine } = await start()
    const batch = [mine(2), mine(3)]
    const results = await Promise.all([1, 2, 3].map(() => store.appendCall(scope, call.callId, batch)))
    expect(results).toEqual(['appended', 'appended', 'appended'])
    await store.appendCall(scope, call.callId, [mine(4)])
    expect(await store.appendCall(scope, call.callId, batch)).toBe('appended')
    expect(await contents(store, scope, call.log)).toEqual(['request', '0:2', '0:3', '0:4'])
  })

  test('after a takeover the old owner writes nothing', async () => {
    const { store, peer, scope, call, mine, theirs, close } = await start()
    expect(await store.appendCall(scope, call.callId, [mine(2)])).toBe('appended')
    expect(await peer.appendCall(scope, call.callId, [theirs(1)])).toBe('appended')
    expect(await store.appendCall(scope, call.callId, [mine(3)])).toBe('fenced')
    expect(await store.appendCall(scope, call.callId, [mine(3), mine(4)], close())).toBe('fenced')
    expect(await store.appendCall(scope, call.callId, [mine(2)]), 'was there before').toBe('appended')
    expect(await peer.appendCall(scope, call.callId, [theirs(2)])).toBe('appended')
    expect(await contents(store, scope, call.log)).toEqual(['request', '0:2', '1:1', '1:2'])
    expect(await store.findCalls(scope, ''), 'a fenced close closes nothing').toEqual([call.callId])
  })

  test('quiet entries that come together each have an outcome of their own', async () => {
    const { store, peer, scope, mine, theirs, call } = await start()
    const others = await Promise.all(Array.from({ length: 300 }, () => open(store, scope)))
    await store.appendQuietly(scope, call.callId, [mine(2)])
    await peer.appendCall(scope, call.callId, [theirs(1)])
    const append = (callId: string, id: string) => store.appendQuietly(scope, callId, [{ id, data: callId }])
    const outcomes: string[] = await Promise.all([
      append('nobody', mine(2).id),
      ...others.slice(0, 150).map(({ callId, epoch }) => append(callId, `${epoch}-2`)),
      append(call.callId, mine(3).id),
      append(call.callId, mine(2).id),
      ...others.slice(150).map(({ callId, epoch }) => append(callId, `${epoch}-2`)),
    ])
    expect(outcomes.splice(0, 1)).toEqual(['gone'])
    expect(outcomes.splice(150, 2)).toEqual(['fenced', 'appended'])
    expect(new Set(outcomes)).toEqual(new Set(['appended']))
    for (const { callId, log } of others)
      expect(await contents(peer, scope, log)).toEqual(['request', callId])
  })

  test('a quiet entry is fenced, repeated and refused like any other', async () => {
    const { store, peer, scope, call, mine, theirs } = await start()
    const quietly = (owner: typeof store, ...entries: ReturnType<typeof mine>[]) =>
      owner.appendQuietly(scope, call.callId, entries)
    expect(await quietly(store, mine(2))).toBe('appended')
    expect(await quietly(store, mine(2)), 'once more').toBe('appended')
    expect(await quietly(peer, theirs(1))).toBe('appended')
    expect(await quietly(store, mine(3))).toBe('fenced')
    expect(await quietly(store, mine(2)), 'was there before').toBe('appended')
    expect(await contents(store, scope, call.log)).toEqual(['request', '0:2', '1:1'])
    await peer.dropLog(scope, call.log)
    expect(await quietly(peer, theirs(2))).toBe('gone')
    expect(await store.read(scope, call.log, BEGINNING, 10)).toEqual([])
  })

  test('a batch that is fenced at its beginning is refused as a whole', async () => {
    const { store, peer, scope, call, mine, theirs } = await start()
    await peer.appendCall(scope, call.callId, [theirs(1)])
    expect(await store.appendCall(scope, call.callId, [mine(2), theirs(5)])).toBe('fenced')
    expect(await contents(store, scope, call.log)).toEqual(['request', '1:1'])
  })

  test('of two owners that append at once, the newer one wins, and no batch is torn', async () => {
    const { store, peer, scope, call, mine, theirs } = await start()
    const rounds = Array.from({ length: 20 }, (_, i) => 2 * i + 2)
    const results = await Promise.all(
      rounds.flatMap((seq) => [
        store.appendCall(scope, call.callId, [mine(seq), mine(seq + 1)]),
        peer.appendCall(scope, call.callId, [theirs(seq), theirs(seq + 1)]),
      ]),
    )
    const ours = rounds.filter((_, i) => results[2 * i] === 'appended')
    expect(results.filter((_, i) => i % 2).every((result) => result === 'appended')).toBe(true)
    const both = (epoch: number) => (seq: number) => [`${epoch}:${seq}`, `${epoch}:${seq + 1}`]
    expect(await contents(store, scope, call.log)).toEqual([
      'request',
      ...ours.flatMap(both(0)),
      ...rounds.flatMap(both(1)),
    ])
  })

  test('there is nothing to append to without a journal', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    expect(await store.appendCall(scope, 'unknown', [mine(2)])).toBe('gone')
    expect(await store.appendCall('unknown', call.callId, [mine(2)])).toBe('gone')
    await peer.dropLog(scope, call.log)
    expect(await store.appendCall(scope, call.callId, [mine(2)])).toBe('gone')
    expect(await store.appendCall(scope, call.callId, [mine(2)], close())).toBe('gone')
    expect(await store.read(scope, call.log, BEGINNING, 10)).toEqual([])
  })

  test('closing ends the call and its inbox, and keeps the journal', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    await peer.append(scope, `${call.log}:in`, 'answer', once())
    expect(await store.appendCall(scope, call.callId, [mine(2), mine(3)], close())).toBe('appended')
    expect(await peer.findCalls(scope, '')).toEqual([])
    expect(await peer.read(scope, `${call.log}:in`, BEGINNING, 10)).toEqual([])
    expect(
      await peer.append(scope, `${call.log}:in`, 'late', { ...once(), ifOpen: call.callId }),
    ).toBeUndefined()
    expect(await peer.read(scope, call.log, call.id, 10)).toEqual([mine(2), mine(3)])
    expect((await peer.openCall(newCall(scope, { requestKeys: call.requestKeys }))).status).toBe('opened')
  })

  test('closing again is harmless, even when the request key is open anew', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    await store.appendCall(scope, call.callId, [mine(2)], close())
    const next = await open(peer, scope, { requestKeys: call.requestKeys })
    expect(await store.appendCall(scope, call.callId, [mine(2)], close())).toBe('appended')
    expect(await store.findCalls(scope, '')).toEqual([next.callId])
    expect(await contents(store, scope, call.log)).toEqual(['request', '0:2'])
  })

  test('a closed journal expires, the session does not', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    await store.appendCall(scope, call.callId, [mine(2)], close(250))
    expect(await store.appendCall(scope, call.callId, [mine(2)], close(250))).not.toBe('fenced')
    await waitFor('the journal expires', async () => (await contents(peer, scope, call.log))?.length === 0)
    expect(await peer.read(scope, call.log, call.id, 10)).toBeUndefined()
    expect(await peer.read(scope, call.log, BEGINNING, 10)).toEqual([])
    expect(await store.appendCall(scope, call.callId, [mine(3)])).toBe('gone')
    expect(await peer.admit(scope, 'alice', HOUR)).toBeDefined()
  })

  test('entries may be empty or large, and 500 at once', async () => {
    const { store, peer, scope, call, mine } = await start()
    const large = 'ü🙂'.repeat(400_000)
    expect(await store.appendCall(scope, call.callId, [mine(2, ''), mine(3, large)])).toBe('appended')
    const many = Array.from({ length: 500 }, (_, i) => mine(i + 4))
    expect(await store.appendCall(scope, call.callId, many)).toBe('appended')
    expect(await peer.read(scope, call.log, call.id, 2)).toEqual([mine(2, ''), mine(3, large)])
    expect(await peer.read(scope, call.log, mine(3).id, 1000)).toEqual(many)
  })

  test('a closed call that keeps its key is attached to for as long as its journal', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    await store.appendCall(scope, call.callId, [mine(2)], { ...close(), keepKey: true })
    const again = newCall(scope, { requestKeys: call.requestKeys })
    expect(await peer.openCall(again)).toMatchObject({ status: 'attached', callId: call.callId })
    expect((await peer.openCall(newCall(scope))).status).toBe('opened')
  })

  test('a call is closed unless another request has joined it', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    const unjoined = { ...close(), unlessJoined: true }
    const again = newCall(scope, { requestKeys: call.requestKeys })
    const same = { ...again, callId: call.callId }
    expect((await peer.openCall(same)).status, 'its own opening repeated joins nothing').toBe('opened')
    expect((await peer.openCall(again)).status).toBe('attached')
    expect(await store.appendCall(scope, call.callId, [mine(2)], unjoined)).toBe('conflict')
    expect(await contents(peer, scope, call.log)).toEqual(['request'])
    expect((await peer.openCall(again)).status).toBe('attached')
    expect(await store.appendCall(scope, call.callId, [mine(2)], close())).toBe('appended')

    const next = await open(store, scope, { requestKeys: call.requestKeys })
    const last = { id: `${next.epoch}-2`, data: 'last' }
    for (const time of ['first', 'repeated']) {
      expect(await store.appendCall(scope, next.callId, [last], unjoined), time).toBe('appended')
      expect((await peer.openCall(newCall(scope, { requestKeys: [time] }))).status).toBe('opened')
    }
    expect((await peer.openCall(again)).status, 'who comes later opens it anew').toBe('opened')
  })

  test('a kept key ends with the journal', async () => {
    const { store, peer, scope, call, mine, close } = await start()
    await store.appendCall(scope, call.callId, [mine(2)], { ...close(30), keepKey: true })
    const again = () => peer.openCall(newCall(scope, { requestKeys: call.requestKeys }))
    await waitFor('expired', async () => (await again()).status === 'opened')
  })
}
