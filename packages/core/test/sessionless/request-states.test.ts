import { describe, expect, test } from 'vitest'
import { durable } from '../../src/index.js'
import type { CommonOptions } from '../../src/index.js'
import { RequestStates } from '../../src/session/request-states.js'
import { Alone } from '../support/alone.js'
import { ask, Caller, resultOf } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
import { capture } from '../support/nodes.js'
import { serve } from '../support/serve.js'
import { expectJson, textOf } from '../support/session.js'
import { openStorage } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

const [OLD, NEW, OTHER] = ['old', 'new', 'other'].map((name) => name.padEnd(32, '.')) as [
  string,
  string,
  string,
]
const CALL = 'a'.repeat(22)
const PLACE = { scope: CALL, callId: CALL }
const HERE = { place: PLACE, after: '5-1' }
const HOUR = 3_600_000

describe('the state that a client sends along with its answers', () => {
  test('is a handle, without keys', () => {
    const states = new RequestStates([], HOUR)
    expect(states.encode(PLACE, '5-1', 'ann')).toBe(`${CALL}.5-1`)
    expect(states.decode(`${CALL}.5-1`, 'ann')).toEqual(HERE)
    expect(states.decode('made up', 'ann')).toBeUndefined()
  })

  test('is signed by the newest key, and accepted by all', () => {
    const before = new RequestStates([OLD], HOUR).encode(PLACE, '5-1', undefined)
    const now = new RequestStates([NEW, OLD], HOUR)
    expect(now.decode(before, undefined)).toEqual(HERE)
    const after = now.encode(PLACE, '5-1', undefined)
    expect(new RequestStates([NEW], HOUR).decode(after, undefined)).toEqual(HERE)
    expect(new RequestStates([OLD], HOUR).decode(after, undefined)).toBeUndefined()
  })

  test('is nobody else’s, and not for ever', async () => {
    const states = new RequestStates([Buffer.from(NEW)], HOUR)
    const state = states.encode(PLACE, '5-1', 'ann')
    expect(states.decode(state, 'ann')).toEqual(HERE)
    for (const who of ['eve', '', undefined]) expect(states.decode(state, who)).toBeUndefined()
    const short = new RequestStates([NEW], 1)
    const soon = short.encode(PLACE, '5-1', 'ann')
    await waitFor(() => short.decode(soon, 'ann') === undefined)
  })

  test('can’t be changed', () => {
    const states = new RequestStates([NEW], HOUR)
    const state = states.encode(PLACE, '5-1', undefined)
    const [name = '', entry = '', expiresAt = '', signature = ''] = state.split('.')
    const changed = [
      [name, entry],
      [name, entry, expiresAt],
      ['b'.repeat(22), entry, expiresAt, signature],
      [`${'b'.repeat(22)}:${name}`, entry, expiresAt, signature],
      [name, '5-2', expiresAt, signature],
      [name, entry, `${Number(expiresAt) + 1}`, signature],
      [name, entry, expiresAt, signature.toLowerCase()],
      [name, entry, expiresAt, signature.slice(1)],
    ]
    for (const parts of changed) expect(states.decode(parts.join('.'), undefined)).toBeUndefined()
  })
})

test.each([[[]], [['short']], [NEW], [[NEW, 7]]])('%j are no keys', (requestStateKeys) => {
  const options = { server: () => durableServer(async () => ''), requestStateKeys } as never
  expect(() => durable(options)).toThrow('a list of secrets of 32 bytes or more')
})

test('nodes with a new key go on with what was asked under the old one; others know of nothing', async () => {
  await using storage = openStorage('memory')
  const server = () => durableServer((ctx) => ask(ctx, 'name'))
  const rings: NonNullable<CommonOptions['requestStateKeys']>[] = [[OLD], [NEW, OLD], [OTHER]]
  const mcps = rings.map((requestStateKeys) =>
    durable({
      server,
      store: storage.forNode(),
      eras: ['2026-07-28'],
      requestStateKeys,
      logger: capture([]),
    }),
  )
  const endpoints = await Promise.all(mcps.map((mcp) => serve('fetch', mcp, {})))
  const caller = new Caller(new Alone({ endpoint: (node: number) => endpoints[node]! } as never))
  const asked = resultOf(await caller.last())
  const { requestState } = asked
  const refused = await expectJson<{ error: unknown }>(await caller.request({ requestState }, { node: 2 }))
  const unknown = new RequestStates([], HOUR).encode(PLACE, '5-1', undefined)
  const made = await expectJson<{ error: unknown }>(
    await caller.request({ requestState: unknown }, { node: 0 }),
  )
  expect(refused.error).toEqual(made.error)
  expect(refused.error).toMatchObject({ code: -32602, data: { reason: 'invalid_request_state' } })
  expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('Ann')
  await Promise.all(mcps.map((mcp) => mcp.close({ graceMs: 0 })))
})
