import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { begin, contents, NAMES, newCall, open, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

/** Values of a scope, on their own and together with a record of a call. */
export function valuesContract(create: CreateStores) {
  const stores = useStores(create)

  test('a value is read as it was written, with its version', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    expect(await peer.readValue(scope, 'k')).toBeUndefined()
    const version = await store.writeValue(scope, 'k', 0, 'one two')
    expect(await peer.readValue(scope, 'k')).toEqual({ version, data: 'one two' })
    expect(await peer.readValue(scope, 'other')).toBeUndefined()
  })

  test('no key is another one', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    for (const name of NAMES) expect(await store.writeValue(scope, name, 0, name)).not.toBe('conflict')
    for (const name of NAMES) expect(await peer.readValue(scope, name)).toMatchObject({ data: name })
  })

  test('a write with another version changes nothing', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const version = Number(await store.writeValue(scope, 'k', 0, 'one'))
    expect(await peer.writeValue(scope, 'k', 0, 'two')).toBe('conflict')
    expect(await peer.writeValue(scope, 'k', version + 1, 'two')).toBe('conflict')
    expect(await peer.writeValue(scope, 'never', version, 'two')).toBe('conflict')
    expect(await store.readValue(scope, 'k')).toEqual({ version, data: 'one' })
  })

  test('of several writes from one version exactly one succeeds', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const writes = ['a', 'b', 'c', 'd'].map((data, i) =>
      (i % 2 ? store : peer).writeValue(scope, 'k', 0, data),
    )
    expect((await Promise.all(writes)).filter((version) => version !== 'conflict')).toHaveLength(1)
  })

  test('no version comes twice, not even after a deletion', async () => {
    const { store } = stores
    const scope = await begin(store)
    const first = Number(await store.writeValue(scope, 'k', 0, 'one'))
    expect(await store.writeValue(scope, 'k', first, undefined)).toBe(0)
    expect(await store.readValue(scope, 'k')).toBeUndefined()
    expect(Number(await store.writeValue(scope, 'k', 0, 'two'))).toBeGreaterThan(first)
  })

  test('an admission tells that a value has changed, whichever, and that nothing has', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const told = async () => {
      const admitted = (await peer.admit(scope, 'alice', 60_000))?.values ?? Number.NaN
      expect((await store.readSession(scope))?.values).toBe(admitted)
      return admitted
    }
    expect(await told()).toBe(0)
    const version = Number(await store.writeValue(scope, 'k', 0, 'one'))
    const first = await told()
    expect(first).toBeGreaterThan(0)
    await store.writeValue(scope, 'k', 0, 'a conflict')
    expect(await told()).toBe(first)
    await peer.writeValue(scope, 'other', 0, 'two')
    const second = await told()
    expect(second).toBeGreaterThan(first)
    await store.writeValue(scope, 'k', version, undefined)
    const third = await told()
    expect(third).toBeGreaterThan(second)
    const opened = await peer.openCall(newCall(scope))
    expect(opened).toMatchObject({ status: 'opened', admission: { values: third } })
    expect(await peer.openCall(newCall(scope))).toMatchObject({ admission: { values: third } })
  })

  test('values end with their session', async () => {
    const { store } = stores
    const scope = await begin(store)
    await store.writeValue(scope, 'k', 0, 'one')
    await store.deleteSession(scope, 'alice')
    expect(await store.readValue(scope, 'k')).toBeUndefined()
    expect(await store.writeValue(scope, 'k', 0, 'two')).toBe('unknown')
  })

  async function start() {
    const scope = await begin(stores.store)
    const call = await open(stores.store, scope)
    const append = (
      seq: number,
      effect: { expected: number; data: string | undefined },
      epoch = call.epoch,
    ) =>
      stores.store.appendCall(
        scope,
        call.callId,
        [{ id: `${epoch}-${seq}`, data: `record ${seq}` }],
        undefined,
        {
          key: 'k',
          ...effect,
        },
      )
    return { scope, call, append }
  }

  test('a record and its effect happen together', async () => {
    const { scope, call, append } = await start()
    expect(await append(2, { expected: 0, data: 'one' })).toBe('appended')
    const written = await stores.peer.readValue(scope, 'k')
    expect(written?.data).toBe('one')
    expect(await append(3, { expected: written?.version ?? 0, data: undefined })).toBe('appended')
    expect(await stores.peer.readValue(scope, 'k')).toBeUndefined()
    expect(await contents(stores.peer, scope, call.log)).toEqual(['request', 'record 2', 'record 3'])
  })

  test('an effect on another version leaves the journal as it was', async () => {
    const { scope, call, append } = await start()
    await stores.peer.writeValue(scope, 'k', 0, 'theirs')
    expect(await append(2, { expected: 0, data: 'mine' })).toBe('conflict')
    expect((await stores.store.readValue(scope, 'k'))?.data).toBe('theirs')
    expect(await contents(stores.store, scope, call.log)).toEqual(['request'])
  })

  test('a repeated record does not have its effect again', async () => {
    const { scope, append } = await start()
    await append(2, { expected: 0, data: 'one' })
    const version = (await stores.store.readValue(scope, 'k'))?.version ?? 0
    await stores.peer.writeValue(scope, 'k', version, 'two')
    expect(await append(2, { expected: 0, data: 'one' })).toBe('appended')
    expect((await stores.store.readValue(scope, 'k'))?.data).toBe('two')
  })

  test('an owner that is shut out changes no value', async () => {
    const { scope, call, append } = await start()
    await stores.peer.claimCall(scope, call.callId, { from: call.owner, to: randomUUID(), data: 'claim' })
    expect(await append(2, { expected: 0, data: 'zombie' })).toBe('fenced')
    expect(await stores.store.readValue(scope, 'k')).toBeUndefined()
  })
}
