import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import type { EndedCall } from '../store/store.js'
import { ANY_NUMBER, begin, contents, HOUR, newCall, once, open, useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

export function endedCallContract(create: CreateStores) {
  const stores = useStores(create)

  const ended = (scope: string, overrides: Partial<EndedCall> = {}): EndedCall => {
    const { callId, principal, requestKeys, data, ttlMs } = newCall(scope)
    const call = { scope, callId, principal, requestKeys, data, ttlMs }
    return { ...call, response: 'response', after: 5, version: 1, retainMs: HOUR, ...overrides }
  }
  const logOf = ({ callId }: { callId: string }) => `call:${callId}` as const

  test('request and response are there at once, on every node, and nothing is open', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = ended(scope)
    const recorded = await store.recordCall(call)
    expect(recorded).toEqual({
      status: 'recorded',
      request: expect.stringMatching(/^\d{13,}-1$/),
      response: expect.stringMatching(/^\d{13,}-2$/),
      admission: { label: 'a label', version: 1, delivered: BEGINNING },
    })
    if (recorded.status !== 'recorded') return
    expect(await peer.read(scope, logOf(call), BEGINNING, 10)).toEqual([
      { id: recorded.request, data: 'request' },
      { id: recorded.response, data: 'response' },
    ])
    expect(await peer.read(scope, logOf(call), recorded.request, 10)).toHaveLength(1)
    expect(await peer.findCalls(scope, '')).toEqual([])
    expect(await peer.listOpenCalls(scope)).toEqual([])
  })

  test('recording again changes nothing and answers the same', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = ended(scope, { keepKey: true })
    const recorded = await store.recordCall(call)
    expect(await peer.recordCall(call)).toEqual(recorded)
    expect(await contents(store, scope, logOf(call))).toEqual(['request', 'response'])
  })

  test('nothing is recorded for another principal, an unknown session or older state', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    expect(await store.recordCall(ended(scope, { principal: 'mallory' }))).toEqual({ status: 'unknown' })
    expect(await store.recordCall(ended(scope, { principal: undefined }))).toEqual({ status: 'unknown' })
    expect(await store.recordCall(ended('nowhere'))).toEqual({ status: 'unknown' })
    await peer.putState(scope, { key: 'level', data: 'new', nonce: 'n' }, ANY_NUMBER)
    const call = ended(scope)
    expect(await store.recordCall(call)).toEqual({ status: 'stale' })
    expect(await contents(store, scope, logOf(call))).toEqual([])
    expect((await store.recordCall({ ...call, version: 2 })).status).toBe('recorded')
  })

  test('a request that is under way, or whose key was kept, is attached to', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const running = await open(store, scope)
    const same = ended(scope, { requestKeys: running.requestKeys })
    expect(await peer.recordCall(same)).toMatchObject({ status: 'attached', callId: running.callId })
    const unjoined = { requestKeys: running.requestKeys, retainMs: HOUR, unlessJoined: true }
    const end = [{ id: `${running.epoch}-2`, data: 'end' }]
    expect(await store.appendCall(scope, running.callId, end, unjoined), 'it was joined').toBe('conflict')

    const kept = ended(scope, { keepKey: true })
    await store.recordCall(kept)
    const again = { requestKeys: kept.requestKeys }
    expect(await peer.recordCall(ended(scope, again))).toMatchObject({ callId: kept.callId })
    expect(await peer.openCall(newCall(scope, again))).toMatchObject({ callId: kept.callId })
    const forgotten = ended(scope)
    await store.recordCall(forgotten)
    const { requestKeys } = forgotten
    expect((await peer.recordCall(ended(scope, { requestKeys }))).status).toBe('recorded')
  })

  test('its journal expires, and takes nothing more', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const lasting = ended(scope)
    const recorded = await store.recordCall(lasting)
    if (recorded.status !== 'recorded') throw new Error(recorded.status)
    const late = [{ id: recorded.response, data: 'late' }]
    await store.claimCall(scope, lasting.callId, { from: 'node-1', to: 'node-2', data: 'claim' })
    await store.append(scope, `${logOf(lasting)}:in`, 'answer', { ...once(), ifExists: true })
    await store.appendCall(scope, lasting.callId, late)
    expect(await contents(peer, scope, logOf(lasting))).toEqual(['request', 'response'])
    const brief = ended(scope, { retainMs: 200 })
    await store.recordCall(brief)
    await waitFor('the journal expires', async () => {
      return (await contents(peer, scope, logOf(brief)))?.length === 0
    })
  })

  test('it slides the expiry of the session', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { ttlMs: 400 })
    await store.recordCall(ended(scope, { ttlMs: HOUR }))
    const short = await begin(store, { ttlMs: 400 })
    await waitFor('another one expires', async () => (await peer.readSession(short)) === undefined)
    expect(await peer.readSession(scope)).toBeDefined()
  })

  test('a history keeps both entries', async () => {
    const { store, peer } = stores
    const keeping = store.keeping({ keepMs: HOUR, maxEntries: 10 })
    const scope = await begin(keeping)
    const call = ended(scope)
    for (let n = 0; n < 2; n++) await keeping.recordCall(call)
    const entries = await peer.history(scope, { limit: 10 })
    expect(entries.map(({ log, data }) => `${log} ${data}`).slice(1)).toEqual([
      `${logOf(call)} request`,
      `${logOf(call)} response`,
    ])
  })
}
