import { randomBytes } from 'node:crypto'
import { sortedMap } from '@mcp-durable/core'
import type { NewCall } from '@mcp-durable/core/store'
import { expect, test } from 'vitest'
import { startRedis } from '../../../test-support/index.js'
import { keysOf, LIMITS, newCall, newSession, once, openStore } from './support.js'

/** The table in docs/operating.md, "Memory". Change both. */
const DOCUMENTED = {
  session: 1500,
  'open call': 4800,
  'record of 0.2 KB': 170,
  'standalone stream': 4400,
  inbox: 4500,
  'ended call': 1300,
  'ended call without a session': 1600,
  'session state': 580,
  'map entry': 360,
  history: 4600,
  'entry of a history of 0.1 KB': 220,
}

const COUNT = 1000
/** Of a key with an expiry, in the tables of the server. */
const PER_KEY = 88
const id = () => randomBytes(16).toString('base64url')
const params = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: {}, sampling: {}, roots: { listChanged: true } },
  clientInfo: { name: 'a-client', version: '2.0.1' },
}
const initialize = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
const call = {
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'order', arguments: { item: 'x'.repeat(100) } },
}
const request = `request ${JSON.stringify({ messages: [call], batch: false, protocol: '2025-11-25', node: id() })}`

test('what things take in Redis is what the documentation says, within a third', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url)
  const { store, client, prefix } = opened
  // The tables of the server grow in jumps, and the buffers of connections come and go by the clock: the first are counted evenly,
  // the second not at all.
  const used = async () => {
    const nonces = (await keysOf(client, prefix)).filter((key) => key.includes(':once:'))
    if (nonces.length > 0) await client.unlink(...nonces)
    const stats = (await client.call('MEMORY', 'STATS')) as unknown[]
    const stat = (name: string) => Number(stats[stats.indexOf(name) + 1])
    const clients = String(await client.client('LIST')).matchAll(/ tot-mem=(\d+)/g)
    const buffers = [...clients].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
    return stat('dataset.bytes') + stat('clients.normal') - buffers + (await client.dbsize()) * PER_KEY
  }
  const begin = async (principal: string | undefined) => {
    const session = newSession({
      id: id(),
      principal,
      protocolVersion: '2025-11-25',
      state: { key: 'initialize', data: initialize },
    })
    await store.createSession(session, LIMITS)
    const state = {
      key: 'initialized',
      data: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      nonce: id(),
    }
    await store.putState(session.id, state, { maxKeys: 9 })
    return session.id
  }
  const open = async (scope: string, more: Partial<NewCall> = {}) => {
    const made = newCall(scope, {
      callId: id(),
      owner: id(),
      principal: undefined,
      ...more,
      requestKeys: [id() + id()],
      data: request,
    })
    const started = await store.openCall(made)
    if (started.status !== 'opened') throw new Error(started.status)
    return { ...made, epoch: Number.parseInt(started.id, 10) }
  }
  const end = (
    { scope, callId, epoch, requestKeys }: Awaited<ReturnType<typeof open>>,
    endsScope = false,
  ) => {
    const response = { id: `${epoch}-2`, data: `response ${'r'.repeat(200)}` }
    return store.appendCall(scope, callId, [response], { requestKeys, retainMs: 900_000, endsScope })
  }
  const running = async () => open(await begin(undefined))
  /** Bytes of what `work` writes, for each of the things that `setup` has made. */
  const measure = async <T>(
    setup: (i: number) => Promise<T>,
    work: (thing: T) => Promise<unknown>,
    each = 1,
  ) => {
    const count = Math.max(100, COUNT / each)
    const things: T[] = []
    for (let i = 0; i < count; i++) things.push(await setup(i))
    // The scripts are known to the server before it is measured.
    await work(await setup(count))
    const before = await used()
    for (const thing of things) await work(thing)
    return ((await used()) - before) / count / each
  }
  const step = `step {"id":"a step","phase":"done","value":"[{\\"id\\":1},\\"${'v'.repeat(100)}\\"]","ms":12}`
  const message = 'm'.repeat(100)
  const map = sortedMap(store, 'map')
  const keeping = store.open({ keeping: { keepMs: 86_400_000, maxEntries: 10_000 } })
  const measured: typeof DOCUMENTED = {
    session: await measure(async (i) => `user-${i}@example.com`, begin),
    'open call': await measure(() => begin(undefined), open),
    'record of 0.2 KB': await measure(
      running,
      async ({ scope, callId, epoch }) => {
        for (let seq = 2; seq <= 51; seq++)
          await store.appendCall(scope, callId, [{ id: `${epoch}-${seq}`, data: step }])
      },
      50,
    ),
    'standalone stream': await measure(
      () => begin(undefined),
      (scope) => store.append(scope, 'out', message, once()),
    ),
    inbox: await measure(running, ({ scope, callId }) =>
      store.append(scope, `call:${callId}:in`, message, once()),
    ),
    'ended call': await measure(
      () => begin(undefined),
      async (scope) => end(await open(scope)),
    ),
    'ended call without a session': await measure(
      async () => id(),
      async (scope) =>
        end(await open(scope, { begins: { protocolVersion: '2026-07-28' }, principal: 'ann' }), true),
    ),
    'session state': await measure(
      () => begin(undefined),
      (scope) => store.writeValue(scope, 'default', 0, message),
    ),
    'map entry': await measure(
      async (i) => `${id()}${i}`,
      (key) => map.insert({ [key]: new Uint8Array(100) }),
    ),
    history: await measure(
      () => begin(undefined),
      (scope) => keeping.putState(scope, { key: 'k', data: message, nonce: id() }, { maxKeys: 9 }),
    ),
    'entry of a history of 0.1 KB': await measure(
      () => begin(undefined),
      async (scope) => {
        for (let n = 0; n < 100; n++)
          await keeping.append(scope, `call:${id()}:in`, message, { ...once(), maxLength: 1 })
        for await (const keys of client.scanStream({ match: `${prefix}:{${scope}}:call:*`, count: 1000 }))
          if ((keys as string[]).length > 0) await client.unlink(...(keys as string[]))
      },
      100,
    ),
  }
  for (const [what, bytes] of Object.entries(DOCUMENTED)) {
    const found = measured[what as keyof typeof DOCUMENTED]
    const close = found > bytes * 0.67 && found < bytes * 1.33
    expect({ what, documented: bytes, found: close ? bytes : found }).toEqual({
      what,
      documented: bytes,
      found: bytes,
    })
  }
})
