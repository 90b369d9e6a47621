import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { durable, memoryStore, sealedStore } from '../../src/index.js'
import type { SealOptions } from '../../src/index.js'
import { SealError } from '../../src/error-classes.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { ANY_NUMBER, HOUR, newCall, newSession, NO_LIMIT, once } from '../../src/testing/stores.js'

const [key, other] = [randomBytes(32), randomBytes(32).toString('base64')]

/** The same data, sealed and as it is stored. */
function both(options: SealOptions = { keys: [key] }) {
  const raw = memoryStore()
  return { raw, store: sealedStore(raw, options) }
}

async function filled({ store }: { store: Store }) {
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), NO_LIMIT)
  const call = newCall(scope)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const epoch = Number.parseInt(opened.id, 10)
  const entries = [2, 3].map((seq) => ({ id: `${epoch}-${seq}`, data: `entry ${seq}` }))
  await store.appendCall(scope, call.callId, entries)
  await store.append(scope, 'out', 'told', once())
  await store.writeValue(scope, 'a', 0, 'value of a')
  await store.writeValue(scope, 'b', 0, 'value of b')
  await store.putState(scope, { key: 'level', data: 'info', nonce: randomUUID() }, ANY_NUMBER)
  return { scope, callId: call.callId, log: `call:${call.callId}` as const, epoch }
}

const tampered = { name: 'SealError', code: 'store-tampered' }

test('a record can be opened where it was sealed, and nowhere else', async () => {
  const { raw, store } = both()
  const one = await filled({ store })
  const two = await filled({ store })
  const [, second, third] = (await raw.read(one.scope, one.log, BEGINNING, 9)) ?? []
  const moved = async (scope: string, callId: string, id: string, data = '') => {
    await raw.appendCall(scope, callId, [{ id, data }])
    return store.read(scope, `call:${callId}`, BEGINNING, 9)
  }
  await expect(moved(one.scope, one.callId, `${one.epoch}-9`, second?.data)).rejects.toMatchObject(tampered)
  await expect(moved(two.scope, two.callId, `${two.epoch}-9`, third?.data)).rejects.toMatchObject(tampered)

  const value = await raw.readValue(two.scope, 'a')
  const { version = 0 } = (await raw.readValue(two.scope, 'b')) ?? {}
  await raw.writeValue(two.scope, 'b', version, value?.data)
  await expect(store.readValue(two.scope, 'b')).rejects.toMatchObject(tampered)
  expect((await store.readValue(two.scope, 'a'))?.data).toBe('value of a')

  const state = (await raw.readState(two.scope, 0)).find((entry) => entry.key === 'level')
  const swapped = { key: 'initialize', data: state?.data ?? '', nonce: randomUUID() }
  await raw.putState(two.scope, swapped, ANY_NUMBER)
  await expect(store.readSession(two.scope)).rejects.toMatchObject(tampered)

  await store.changeMap('map', { set: [['x', 'one']], remove: [] })
  const [[, sealed] = ['', '']] = await raw.rangeMap('map', { reverse: false, limit: 1 })
  for (const [map, name] of [
    ['map', 'y'],
    ['other map', 'x'],
  ] as const) {
    await raw.changeMap(map, { set: [[name, sealed]], remove: [] })
    await expect(store.readMap(map, [name])).rejects.toMatchObject(tampered)
  }

  const changed = async (text: string) => {
    await raw.changeMap('map', { set: [['x', text]], remove: [] })
    return store.readMap('map', ['x'])
  }
  const [, , keyId = ''] = sealed.split(':')
  const flipped = `${sealed.slice(0, -8)}${sealed.at(-8) === 'A' ? 'B' : 'A'}${sealed.slice(-7)}`
  for (const text of [
    flipped,
    sealed.slice(0, 30),
    `${sealed}!`,
    'sealed:1:',
    sealed.replace(keyId, '00000000'),
  ])
    await expect(changed(text)).rejects.toThrow(SealError)
})

test('keys are rotated without a stop, and a node that lacks one says which', async () => {
  const { raw, store } = both({ keys: [key] })
  const nodes = {
    next: sealedStore(raw, { keys: [key, other] }),
    last: sealedStore(raw, { keys: [other, key] }),
  }
  const { scope, log } = await filled({ store })
  for (const each of [store, ...Object.values(nodes)])
    expect((await each.read(scope, log, BEGINNING, 9))?.map(({ data }) => data)).toEqual([
      'request',
      'entry 2',
      'entry 3',
    ])
  await nodes.last.writeValue(scope, 'new', 0, 'by the new key')
  expect((await nodes.next.readValue(scope, 'new'))?.data).toBe('by the new key')
  const failure = await store.readValue(scope, 'new').catch((error: unknown) => error)
  expect(failure).toMatchObject({ name: 'SealError', code: 'store-sealed' })
  const { keyId, message } = failure as SealError
  expect((await raw.readValue(scope, 'new'))?.data).toContain(`sealed:1:${keyId}:`)
  expect(message).toContain(String(keyId))
})

test.each(['without secrets', 'with secrets'])(
  'who wipes the bytes of a key loses nothing, %s',
  async (how) => {
    const raw = memoryStore()
    const secrets = how === 'with secrets' ? { secrets: memoryStore() } : {}
    const given = Buffer.from(key)
    const store = sealedStore(raw, { keys: [given], ...secrets })
    given.fill(0)
    const { scope } = await filled({ store })
    const again = sealedStore(raw, { keys: [key], ...secrets })
    expect((await again.readSession(scope))?.state).toHaveLength(2)
  },
)

test('a change is known by its mark, also by the one that an earlier version has left', async () => {
  const { raw, store } = both()
  const { id: scope } = newSession()
  await raw.createSession(newSession({ id: scope }), NO_LIMIT)
  const change = { set: [['x', 'one']], remove: [] } as const
  for (const first of [raw, store]) {
    const mark = `call:${randomUUID()}`
    expect(await first.changeMap('map', change, mark)).toBe('applied')
    expect(await store.changeMap('map', change, mark)).toBe('repeated')
    const options = { mark, markMs: HOUR }
    expect(await first.writeValue(scope, mark, 0, 'one', options)).toBeGreaterThan(0)
    expect(await store.writeValue(scope, mark, 0, 'one', options)).toBe('repeated')
  }
})

test('what was stored before sealing was begun is read, unless that is refused', async () => {
  const raw = memoryStore()
  const { scope, log } = await filled({ store: raw })
  const reads = sealedStore(raw, { keys: [key] })
  const refuses = sealedStore(raw, { keys: [key], plain: 'refuse' })
  expect((await reads.read(scope, log, BEGINNING, 9))?.at(-1)?.data).toBe('entry 3')
  expect(await reads.readSession(scope)).toMatchObject({ state: [{ key: 'initialize' }, { data: 'info' }] })
  await expect(refuses.read(scope, log, BEGINNING, 9)).rejects.toMatchObject({
    ...tampered,
    keyId: undefined,
  })
  await expect(refuses.readSession(scope)).rejects.toMatchObject(tampered)
})

test('histories are opened, and hold nothing that can be read without the key', async () => {
  const { raw, store } = both()
  const kept = store.open({ keeping: { keepMs: HOUR, maxEntries: 100 } })
  const { scope, log } = await filled({ store: kept })
  const told = (await store.history(scope, { limit: 100 })).map((entry) => `${entry.log} ${entry.data}`)
  expect(told).toEqual([
    'state {"first":true}',
    `${log} request`,
    `${log} entry 2`,
    `${log} entry 3`,
    'out told',
    'state info',
  ])
  for (const { data } of await raw.history(scope, { limit: 100 })) expect(data).toMatch(/^sealed:1:/)
})

test('limits in bytes hold nearly, and pages are as large as ever', async () => {
  const { store } = both()
  const { scope } = await filled({ store })
  const large = { ...once(), maxBytes: 10_000 } as const
  for (let n = 0; n < 20; n++)
    await store.append(scope, 'call:i:in', 'x'.repeat(1000), { ...large, ...once() })
  const left = (await store.read(scope, 'call:i:in', '-', 100))?.length ?? 0
  expect(left).toBeGreaterThanOrEqual(9)
  expect(left).toBeLessThanOrEqual(10)
  expect(await store.writeValue(scope, 'c', 0, 'x'.repeat(2000), { maxBytes: 1000 })).toBe('full')
  const lengths = async (maxBytes: number) => (await store.read(scope, 'call:i:in', '-', 9, maxBytes))?.length
  expect([await lengths(1), await lengths(3000), await lengths(3001)]).toEqual([1, 3, 4])
})

test('options that are none are refused, and no key is repeated', () => {
  const store = memoryStore()
  const server = () => ({}) as never
  for (const seal of [
    {},
    { keys: [] },
    { keys: [key.subarray(1)] },
    { keys: ['a secret that is too short'] },
    { keys: [key], plain: 'yes' },
    { keys: [key], kyes: 1 },
    { keys: key },
  ]) {
    expect(() => durable({ server, store, seal: seal as never })).toThrow(TypeError)
    expect(() => sealedStore(store, seal as never)).toThrow(/sealing takes|there is no option/)
    expect(() => sealedStore(store, seal as never)).not.toThrow(/a secret/)
  }
  const sealed = sealedStore(store, { keys: [key.toString('hex'), other] })
  expect(() => sealedStore(sealed, { keys: [key] })).toThrow('is sealed already')
  expect(() => durable({ server, store: sealed, seal: { keys: [key] } })).toThrow('leave `seal` out')
})
