import type { NewCall, Store } from '@mcp-durable/core/store'

const HOUR = 3_600_000
const FOREVER = { maxPerPrincipal: 1000 }
const epochOf = (id: string) => Number.parseInt(id, 10)
const ODD = 'ünï\0 {x}'

/** Puts into a store something of everything that a store can hold, with ids that are the same each time. */
export async function fill(plain: Store): Promise<void> {
  const store = plain.open({ keeping: { keepMs: HOUR, maxEntries: 100 } })
  try {
    await sessions(store)
    await callsOfSession(store)
    await callsAlone(plain)
    await valuesAndMaps(store)
    await nodesAndQuotas(store)
  } finally {
    await store.close()
  }
}

async function sessions(store: Store) {
  const session = {
    protocolVersion: '2025-11-25',
    state: { key: 'initialize', data: '{"a":1}' },
    ttlMs: HOUR,
  }
  await store.createSession({ ...session, id: 'talks', principal: 'ann', server: 'shop' }, FOREVER)
  await store.createSession({ ...session, id: ODD, principal: ODD }, FOREVER)
  await store.createSession({ ...session, id: 'nobodys', principal: undefined, ttlMs: 2 * HOUR }, FOREVER)
  await store.createSession({ ...session, id: 'over', principal: 'ann' }, FOREVER)
  await store.deleteSession('over', 'ann')
  for (const [key, data] of [
    ['level', '"info"'],
    ['subscribe a', '{}'],
    ['level', ODD],
  ] as const)
    await store.putState('talks', { key, data, nonce: `${key} ${data}` }, { maxKeys: 10 })
  for (let i = 0; i < 500; i++)
    await store.append('talks', 'out', `message ${i} ${ODD}`, {
      nonce: `m${i}`,
      maxLength: 450,
      maxBytes: 1 << 20,
    })
  const last = await store.append(ODD, 'out', 'x', { nonce: 'x', maxLength: 10 })
  await store.saveDelivered(ODD, last || '')
}

const call = (scope: string, callId: string, more: Partial<NewCall> = {}): NewCall => ({
  scope,
  callId,
  owner: 'gone',
  principal: 'ann',
  requestKeys: [`key of ${callId}`],
  data: `request of ${callId}`,
  ttlMs: HOUR,
  maxOpenCalls: 100,
  ...more,
})

async function callsOfSession(store: Store) {
  const large = 'x'.repeat(20_000)
  const open = call('talks', 'open', { requestKeys: ['one', 'two'], data: large, maxOpenBytes: 1 << 20 })
  const opened = await store.openCall(open)
  await store.openCall({ ...open, callId: 'other' })
  if (opened.status !== 'opened') throw new Error(opened.status)
  const epoch = epochOf(opened.id)
  const steps = Array.from({ length: 450 }, (_, i) => ({
    id: `${epoch}-${i + 2}`,
    data: `entry ${i}`,
    after: i,
  }))
  await store.appendCall('talks', 'open', steps)
  await store.claimCall('talks', 'open', { from: 'gone', to: 'left', data: 'claim' })
  await store.expect('talks', 'answer-1', { ifOpen: 'open' })
  await store.expect('talks', 'answer-2', { ifOpen: 'open' })
  await store.append('talks', 'call:open:in', 'answer', {
    nonce: 'a',
    maxLength: 9,
    answers: 'answer-1',
    maxBytes: 99,
  })
  await store.append('talks', 'call:elsewhere:in', 'for a server object', { nonce: 'e', maxLength: 9 })
  const ended = await store.openCall(call('talks', 'ended'))
  if (ended.status !== 'opened') throw new Error(ended.status)
  const end = [{ id: `${epochOf(ended.id)}-2`, data: 'response' }]
  const close = { requestKeys: ['key of ended'], retainMs: HOUR / 2, keepKey: true }
  await store.appendCall('talks', 'ended', end, close, { key: 'from a call', expected: 0, data: 'v' })
}

async function callsAlone(store: Store) {
  const begins = { protocolVersion: '2026-07-28', maxPerPrincipal: 10 }
  for (const id of ['parked', 'asleep', 'done'])
    await store.openCall(call(id, id, { begins, principal: ODD }))
  await store.claimCall('parked', 'parked', {
    from: 'gone',
    to: '',
    data: 'parked',
    ttlMs: 2 * HOUR,
    counts: 0,
  })
  await store.claimCall('asleep', 'asleep', { from: 'gone', to: '-', data: 'parked', counts: 0 })
  await store.setDue({ scope: 'asleep', callId: 'asleep', nonce: '1' }, Date.now() + HOUR)
  const [first] = (await store.read('done', 'call:done', '0-0', 1)) ?? []
  const end = { id: `${epochOf(first?.id ?? '')}-2`, data: 'response' }
  await store.appendCall('done', 'done', [end], {
    requestKeys: ['key of done'],
    retainMs: HOUR,
    endsScope: true,
  })
  await store.append('changes', 'out', 'tools/list_changed', {
    nonce: 'c',
    maxLength: 9,
    begins: { ttlMs: HOUR },
  })
}

async function valuesAndMaps(store: Store) {
  for (const key of ['a', 'b', ODD]) await store.writeValue('talks', key, 0, ODD)
  await store.writeValue('talks', 'a', 2, undefined)
  await store.beginScope('handle', { principal: 'ann', ttlMs: HOUR }, FOREVER)
  const begins = { principal: 'ann', ttlMs: HOUR }
  await store.writeValue('state of ann', 'cart', 0, '[1]', { begins, mark: 'call 1', markMs: HOUR })
  const entries = Array.from({ length: 450 }, (_, i): [string, string] => [`key ${i}`, `value ${i}`])
  await store.changeMap('stock', { set: entries, remove: [] }, 'mark 1')
  await store.changeMap('stock', { set: [[ODD, ODD]], remove: ['key 7'] })
  await store.changeMap(ODD, { set: [['', 'empty key']], remove: [] })
}

async function nodesAndQuotas(store: Store) {
  await store.beat('gone', '{"host":"a","pid":1}')
  await store.beat('left')
  await store.hold('gone', ['talks', 'asleep'])
  await store.hold('left', ['talks'])
  await store.leave('left')
  await store.declareDead('gone', [], 0)
  const [one, window] = [
    { name: 'tool:book', most: 1 },
    { name: 'minute', most: 5, windowMs: HOUR },
  ]
  await store.takePlaces({ scope: 'talks', callId: 'open' }, [window], [one])
  for (const callId of ['parked', 'asleep'])
    await store.takePlaces({ scope: callId, callId }, [window], [one])
  await store.releasePlaces({ scope: 'talks', callId: 'open' }, [one.name])
  await store.nextTurns(HOUR, 1)
}
