import { expect, test } from 'vitest'
import { encodeRecord } from '../../src/call/record.js'
import { eventId } from '../../src/http/events.js'
import { StoreError } from '../../src/error-classes.js'
import type { Store } from '../../src/index.js'
import { randomId } from '../../src/ids.js'
import { startNodes } from '../support/nodes.js'
import { LATEST, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

// A node that stands still while it opens a call is taken for dead, and what it holds is released. If it dies then, no list
// leads to the call.

/** A beat is late, or a turn of the event loop long, only after some hundred milliseconds. */
const SETTINGS = { heartbeatMs: 200, leaseMs: 800, sweepMs: 50 }

test.each(STORES)('a call is not run before its node holds the session again, %s', async (store) => {
  const control = { beats: true, failed: 0, opening: Promise.resolve() }
  const still = (own: Store): Store => {
    const beat: Store['beat'] = async (...args) => {
      if (control.beats) return own.beat(...args)
      control.failed++
      throw new StoreError('store-unavailable', 'The store is away.')
    }
    const openCall: Store['openCall'] = async (call) => {
      await control.opening
      return own.openCall(call)
    }
    return overriding(own, { beat, openCall })
  }
  await using nodes = await startNodes({ store, count: 1, settings: SETTINGS, wrap: still })
  const session = await Session.begin(nodes)
  await session.result('echo', { text: '' })
  const own = nodes.stores[0]!
  const [{ node } = { node: '' }] = await own.listNodes()
  const isHeld = async () => (await own.heldScopes(node, 10)).includes(session.id)
  expect(await isHeld()).toBe(true)

  let open!: () => void
  control.opening = new Promise((resolve) => (open = resolve))
  control.beats = false
  const calling = session.call('wait', { gate: 'g' })
  // Longer than the lease; then another node takes what it holds.
  await waitFor(() => control.failed >= 6)
  expect(await own.declareDead(node, [session.id], 0)).toBe(true)
  open()
  await waitFor(async () => (await own.listOpenCalls(session.id)).length === 1)
  const { failed } = control
  await waitFor(() => control.failed >= failed + 2)
  expect(nodes.world.happened.count('started g')).toBe(0)
  control.beats = true
  await nodes.world.happened.until('started g')
  expect(await isHeld()).toBe(true)
  nodes.world.gates.open('g')
  await using stream = await calling
  expect((await stream.messages()).map(textOf)).toEqual(['g on node-0'])
})

test.each(STORES)(
  'a call whose owner seems to live when it is asked for is found later, %s',
  async (store) => {
    await using nodes = await startNodes({ store, count: 1, settings: SETTINGS })
    const session = await Session.begin(nodes)
    const own = nodes.stores[0]!
    const message = { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'wait' } } as const
    const request = { messages: [message], batch: false, protocol: LATEST, node: 'dying' }
    await own.beat('dying')
    const callId = randomId()
    const opened = await own.openCall({
      scope: session.id,
      callId,
      owner: 'dying',
      principal: undefined,
      requestKeys: ['key'],
      data: encodeRecord({ kind: 'request', request }),
      ttlMs: 60_000,
      maxOpenCalls: 10,
    })
    if (opened.status !== 'opened') throw new Error(opened.status)
    await using stream = await session.stream(eventId(`call:${callId}`, opened.id))
    expect((await stream.messages()).map(textOf)).toEqual([expect.stringContaining('its outcome is unknown')])
  },
)
