import { expect, test } from 'vitest'
import { BEGINNING, OLDEST } from '../store/store.js'
import { begin, contents, once, open, useStores } from './stores.js'
import type { CreateStores } from './stores.js'

/** What a log takes: only what is expected, only while a call is open, only so much. */
export function inboxContract(create: CreateStores, exactSizes: boolean) {
  const stores = useStores(create)

  test('what is expected is taken once, from any node', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log } = await open(store, scope)
    const answer = (data: string, name = `${callId}.1`) =>
      peer.append(scope, `${log}:in`, data, { ...once(), answers: name })
    expect(await answer('nobody asked')).toBeUndefined()
    expect(await store.expect(scope, `${callId}.1`, { ifOpen: callId })).toBe(true)
    expect(await store.expect(scope, `${callId}.1`, { ifOpen: callId })).toBe(true)
    expect(await answer('another', `${callId}.10`)).toBeUndefined()
    const outcomes = await Promise.all(['a', 'b', 'c'].map((data) => answer(data)))
    expect(outcomes.filter((id) => id !== undefined)).toHaveLength(1)
    expect(await contents(store, scope, `${log}:in`)).toHaveLength(1)
  })

  test('a repeated nonce answers with the first id, although nothing is expected any more', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    await store.expect(scope, 'q')
    const options = { ...once(), answers: 'q' }
    const id = await store.append(scope, 'call:c:in', 'a', options)
    expect(id).toMatch(/^\d+-\d+$/)
    expect(await peer.append(scope, 'call:c:in', 'a', options)).toBe(id)
    expect(await contents(store, scope, 'call:c:in')).toEqual(['a'])
  })

  test('nothing is expected of a call that is not open, and nothing left for it', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log, epoch, requestKeys } = await open(store, scope)
    await store.expect(scope, `${callId}.1`, { ifOpen: callId })
    const cancel = { ...once(), ifOpen: callId }
    expect(await peer.append(scope, `${log}:in`, 'cancel', cancel)).toMatch(/^\d+-\d+$/)
    const close = { requestKeys, retainMs: 60_000, unexpected: [`${callId}.1`, `${callId}.2`] }
    await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'end' }], close)
    expect(await peer.append(scope, `${log}:in`, 'late', { ...once(), ifOpen: callId })).toBeUndefined()
    expect(await peer.append(scope, `${log}:in`, 'a', { ...once(), answers: `${callId}.1` })).toBeUndefined()
    expect(await store.expect(scope, `${callId}.2`, { ifOpen: callId })).toBe(false)
    expect(await store.expect('unknown', 'q')).toBe(false)
    expect(await peer.read(scope, `${log}:in`, BEGINNING, 10)).toEqual([])
  })

  test('a dropped log takes its expectations along', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    await store.expect(scope, 'q1')
    await store.expect(scope, 'q2')
    await peer.dropLog(scope, 'call:h:in', ['q1'])
    expect(await peer.append(scope, 'call:h:in', 'a', { ...once(), answers: 'q1' })).toBeUndefined()
    expect(await peer.append(scope, 'call:h:in', 'b', { ...once(), answers: 'q2' })).toBeDefined()
  })

  test.each(exactSizes ? ['entries', 'bytes'] : ['entries'])(
    'what does not fit is refused, by %s, and goes on being expected',
    async (by) => {
      const { store, peer } = stores
      const scope = await begin(store)
      await store.expect(scope, 'q')
      const limits = by === 'bytes' ? { maxLength: 100, maxBytes: 10 } : { maxLength: 2, maxBytes: 1000 }
      const leave = (data: string, answers?: string) => {
        const options = { nonce: once().nonce, whenFull: 'refuse', ...limits } as const
        return peer.append(
          scope,
          'call:c:in',
          data,
          answers === undefined ? options : { ...options, answers },
        )
      }
      expect(await leave('ü234')).toMatch(/^\d+-\d+$/)
      expect(await leave('12345')).toMatch(/^\d+-\d+$/)
      expect(await leave('1', 'q')).toBe(false)
      expect(await contents(store, scope, 'call:c:in')).toEqual(['ü234', '12345'])
      await store.dropLog(scope, 'call:c:in')
      expect(await leave('1', 'q')).toMatch(/^\d+-\d+$/)
    },
  )

  test.runIf(exactSizes)(
    'a log keeps so many bytes of its newest entries, and always the newest',
    async () => {
      const { store, peer } = stores
      const scope = await begin(store)
      const add = (data: string) => store.append(scope, 'out', data, { ...once(), maxBytes: 10 })
      for (const data of ['aaaa', 'bbbb', 'ü']) await add(data)
      expect(await contents(peer, scope, 'out')).toEqual(['aaaa', 'bbbb', 'ü'])
      await add('c')
      expect(await contents(peer, scope, 'out')).toEqual(['bbbb', 'ü', 'c'])
      expect(await peer.read(scope, 'out', BEGINNING, 10)).toBeUndefined()
      await add('d'.repeat(100))
      expect(await contents(peer, scope, 'out')).toEqual(['d'.repeat(100)])
      await add('e')
      expect(await contents(peer, scope, 'out')).toEqual(['e'])
      for (let n = 0; n < 9; n++) await add(String(n))
      expect(await contents(peer, scope, 'out')).toEqual(Array.from('e012345678'))
    },
  )

  test('a page ends with the entry that brings it to so many bytes', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const ids: string[] = []
    const texts = Array.from({ length: 40 }, (_, n) => 'x'.repeat(n))
    for (const data of texts) ids.push(String(await store.append(scope, 'out', data, once())))
    const lengths = async (after: string, limit: number, maxBytes: number) =>
      (await peer.read(scope, 'out', after, limit, maxBytes))?.map(({ data }) => data.length)
    expect(await lengths(BEGINNING, 100, 6)).toEqual([0, 1, 2, 3])
    expect(await lengths(OLDEST, 100, 7)).toEqual([0, 1, 2, 3, 4])
    expect(await lengths(ids[30]!, 100, 1)).toEqual([31])
    expect(await lengths(ids[30]!, 2, 1000)).toEqual([31, 32])
    expect(await lengths(ids[37]!, 100, 1000)).toEqual([38, 39])
    expect(await lengths(ids[39]!, 100, 1)).toEqual([])
    expect(await lengths(BEGINNING, 100, 1_000_000)).toHaveLength(40)
    for (let after = BEGINNING, read = 0; read < 40;) {
      const page = (await peer.read(scope, 'out', after, 12, 50))!
      expect(page.map(({ data }) => data)).toEqual(texts.slice(read, read + page.length))
      read += page.length
      after = page.at(-1)!.id
    }
  })
}
