import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { WriteOptions } from '../store/context-store.js'
import { HOUR, keepDoing, SLOW, useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

const SHORT = 250
const ANY = { maxPerPrincipal: 1000 }

/** Scopes that hold values alone: the state of a principal, or of a handle. */
export function scopesContract(create: CreateStores, exactSizes: boolean) {
  const stores = useStores(create)
  const someone = () => `someone ${randomUUID()}`

  async function begun(principal: string | undefined = someone(), ttlMs = HOUR) {
    const scope = randomUUID()
    expect(await stores.store.beginScope(scope, { principal, ttlMs }, ANY)).toBe('begun')
    return { scope, principal }
  }

  test('a scope is its principal’s alone, on any node', async () => {
    const { store, peer } = stores
    const [ann, nobody] = [await begun(), await begun()]
    expect(await peer.useScope(ann.scope, ann.principal)).toBe(true)
    for (const other of [nobody.principal, undefined, '', '-'])
      expect(await peer.useScope(ann.scope, other)).toBe(false)
    expect(await store.useScope(randomUUID(), ann.principal)).toBe(false)
  })

  test('one of nobody is nobody’s', async () => {
    const scope = randomUUID()
    await stores.store.beginScope(scope, { principal: undefined, ttlMs: HOUR }, { maxPerPrincipal: 1 })
    expect(await begunOfNobody()).toBe('begun')
    expect(await stores.peer.useScope(scope, undefined)).toBe(true)
    expect(await stores.peer.useScope(scope, 'ann')).toBe(false)
  })

  const begunOfNobody = () =>
    stores.peer.beginScope(randomUUID(), { principal: undefined, ttlMs: HOUR }, { maxPerPrincipal: 1 })

  test('a session is no such scope, and such a scope is no session', async () => {
    const { store, peer } = stores
    const { scope, principal } = await begun()
    expect((await peer.listSessions(undefined, 1000)).ids).not.toContain(scope)
    const session = { id: randomUUID(), principal, protocolVersion: 'v', ttlMs: HOUR }
    await store.createSession({ ...session, state: { key: 'k', data: '' } }, ANY)
    expect(await peer.useScope(session.id, principal)).toBe(false)
  })

  test('beginning it again changes nothing', async () => {
    const { store, peer } = stores
    const { scope, principal } = await begun()
    await store.writeValue(scope, 'k', 0, 'one')
    expect(await peer.beginScope(scope, { principal, ttlMs: HOUR }, ANY)).toBe('begun')
    expect(await peer.readValue(scope, 'k')).toMatchObject({ data: 'one' })
  })

  test('it expires when it was not used for long, with its values', async () => {
    const { store, peer } = stores
    const { scope, principal } = await begun(someone(), SHORT)
    await store.writeValue(scope, 'k', 0, 'one')
    await waitFor('expired', async () => (await peer.readValue(scope, 'k')) === undefined)
    expect(await peer.useScope(scope, principal)).toBe(false)
    expect(await peer.writeValue(scope, 'k', 0, 'two')).toBe('unknown')
  })

  test('each use keeps it', SLOW, async () => {
    const { store, peer } = stores
    const [used, written] = [await begun(someone(), 1000), await begun(someone(), 1000)]
    await keepDoing(1000, async () => {
      expect(await peer.useScope(used.scope, used.principal)).toBe(true)
      const { version = 0 } = (await peer.readValue(written.scope, 'k')) ?? {}
      expect(await store.writeValue(written.scope, 'k', version, 'x')).toBeGreaterThan(version)
    })
  })

  test('a principal has so many at most, and those that are over make room', async () => {
    const { store, peer } = stores
    const principal = someone()
    const begin = (ttlMs: number, scope: string = randomUUID()) =>
      peer.beginScope(scope, { principal, ttlMs }, { maxPerPrincipal: 2 })
    const first = randomUUID()
    expect([await begin(HOUR, first), await begin(SHORT)]).toEqual(['begun', 'begun'])
    expect(await begin(HOUR)).toBe('limit')
    expect(await begin(HOUR, first)).toBe('begun')
    expect(await store.beginScope(randomUUID(), { principal: someone(), ttlMs: HOUR }, ANY)).toBe('begun')
    await waitFor('room', async () => (await begin(HOUR)) === 'begun')
  })

  test('a write with a mark applies once, whatever it says the second time', async () => {
    const { store, peer } = stores
    const { scope } = await begun()
    const options = { mark: 'call:step', markMs: HOUR }
    const version = await store.writeValue(scope, 'k', 0, 'one', options)
    expect(version).toBeGreaterThan(0)
    expect(await peer.writeValue(scope, 'k', 0, 'one', options)).toBe('repeated')
    expect(await peer.writeValue(scope, 'k', Number(version), 'two', options)).toBe('repeated')
    expect(await store.readValue(scope, 'k')).toEqual({ version, data: 'one' })
    const again = { ...options, mark: 'call:other step' }
    expect(await peer.writeValue(scope, 'k', Number(version), undefined, again)).toBe(0)
    expect(await store.writeValue(scope, 'k', Number(version), 'one', options)).toBe('repeated')
    expect(await store.writeValue(scope, 'k', 0, 'one', options)).toBe('repeated')
    expect(await store.readValue(scope, 'k')).toBeUndefined()
  })

  test('a mark that was seen under its former name is seen, and that one is not remembered', async () => {
    const { store, peer } = stores
    const { scope } = await begun()
    const write = (key: string, mark: string, formerMark?: string) =>
      store.writeValue(scope, key, 0, key, { mark, markMs: HOUR, ...(formerMark && { formerMark }) })
    expect(await write('one', 'former')).toBeGreaterThan(0)
    expect(await write('two', 'now', 'former')).toBe('repeated')
    expect(await write('three', 'later', 'unseen')).toBeGreaterThan(0)
    expect(await write('four', 'later', 'unseen')).toBe('repeated')
    expect(await write('five', 'unseen')).toBeGreaterThan(0)
    const held = ['one', 'two', 'three', 'four', 'five'].map((key) => peer.readValue(scope, key))
    expect((await Promise.all(held)).map((value) => value?.data)).toEqual([
      'one',
      undefined,
      'three',
      undefined,
      'five',
    ])
  })

  test('one that was not applied leaves no mark', async () => {
    const { store } = stores
    const { scope } = await begun()
    const options = { mark: 'm', markMs: HOUR, maxBytes: 10 }
    expect(await store.writeValue(scope, 'k', 7, 'one', options)).toBe('conflict')
    expect(await store.writeValue(scope, 'k', 0, 'x'.repeat(20), options)).toBe('full')
    expect(await store.writeValue(scope, 'k', 0, 'one', options)).toBeGreaterThan(0)
  })

  test('marks are those of one scope', async () => {
    const [one, other] = [await begun(), await begun()]
    const options = { mark: 'm', markMs: HOUR }
    for (const { scope } of [one, other])
      expect(await stores.store.writeValue(scope, 'k', 0, 'one', options)).toBeGreaterThan(0)
  })

  test('of many writes at once with one mark one applies, and of several without one', async () => {
    const { store, peer } = stores
    const { scope } = await begun()
    const write = (n: number, options: WriteOptions) =>
      (n % 2 ? store : peer).writeValue(scope, JSON.stringify(options), 0, String(n), options)
    for (const options of [{ mark: 'm', markMs: HOUR }, {}]) {
      const written = await Promise.all(Array.from({ length: 8 }, (_, n) => write(n, options)))
      expect(written.filter((outcome) => typeof outcome === 'number')).toHaveLength(1)
    }
  })

  test('the first write begins its scope, if it may, for this principal alone', async () => {
    const { store, peer } = stores
    const [scope, principal] = [randomUUID(), someone()]
    expect(await store.writeValue(scope, 'k', 0, 'one')).toBe('unknown')
    const begins = { principal, ttlMs: HOUR }
    const version = await store.writeValue(scope, 'k', 0, 'one', { begins })
    expect(await peer.writeValue(scope, 'k', 0, 'two', { begins })).toBe('conflict')
    expect(await peer.readValue(scope, 'k')).toEqual({ version, data: 'one' })
    expect(await peer.useScope(scope, principal)).toBe(true)
    const others = { begins: { principal: someone(), ttlMs: HOUR } }
    expect(await peer.writeValue(scope, 'k', Number(version), 'theirs', others)).toBe('unknown')
    expect(await peer.useScope(scope, others.begins.principal)).toBe(false)
    expect(await store.readValue(scope, 'k')).toEqual({ version, data: 'one' })
  })

  test('no version comes twice, not even after the scope has expired', async () => {
    const { store } = stores
    const [scope, principal] = [randomUUID(), someone()]
    const options = { begins: { principal, ttlMs: SHORT } }
    const first = Number(await store.writeValue(scope, 'k', 0, 'one', options))
    await waitFor('expired', async () => (await store.readValue(scope, 'k')) === undefined)
    expect(Number(await store.writeValue(scope, 'k', 0, 'two', options))).toBeGreaterThan(first)
  })

  test.runIf(exactSizes)('values have so many bytes at most; fewer is always possible', async () => {
    const { store, peer } = stores
    const { scope } = await begun()
    const put = async (key: string, data: string | undefined, maxBytes: number) => {
      const { version = 0 } = (await peer.readValue(scope, key)) ?? {}
      return store.writeValue(scope, key, version, data, { maxBytes })
    }
    expect(await put('a', 'x'.repeat(50), 100)).toBeGreaterThan(0)
    expect(await put('b', 'x'.repeat(50), 100)).toBe('full')
    expect(await put('b', 'x'.repeat(40), 100)).toBeGreaterThan(0)
    expect(await put('a', 'x'.repeat(60), 100)).toBe('full')
    expect(await put('a', 'x'.repeat(40), 20)).toBeGreaterThan(0)
    expect(await put('a', undefined, 20)).toBe(0)
    expect(await put('c', 'x'.repeat(50), 100)).toBeGreaterThan(0)
    expect(await put('d', 'x'.repeat(20), 100)).toBe('full')
  })

  test('what is kept of a principal includes it', async () => {
    const { store, peer } = stores
    const { scope, principal } = await begun()
    const own = randomUUID()
    await store.writeValue(scope, 'k', 0, 'one')
    await store.writeValue(own, 'k', 0, 'one', { begins: { principal, ttlMs: HOUR } })
    const others = await begun()
    await peer.forget({ principal })
    for (const gone of [scope, own]) {
      expect(await store.readValue(gone, 'k')).toBeUndefined()
      expect(await store.useScope(gone, principal)).toBe(false)
    }
    expect(await store.useScope(others.scope, others.principal)).toBe(true)
    expect(await peer.beginScope(randomUUID(), { principal, ttlMs: HOUR }, { maxPerPrincipal: 1 })).toBe(
      'begun',
    )
  })
}
