import { expect, test } from 'vitest'
import { EarlierRuns } from '../../src/call/earlier-runs.js'
import { encodeRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'

const request = (version?: string): CallRecord => ({
  kind: 'request',
  request: { messages: [], batch: false, protocol: '2025-11-25', node: 'n', ...(version && { version }) },
})
const claim = (version?: string): CallRecord => ({
  kind: 'claim',
  claim: { node: 'n', nonce: '1', ...(version && { version }) },
})
const returned: CallRecord = { kind: 'returned', returned: { node: 'n', nonce: '2' } }
const parked = (queued?: 'go-on'): CallRecord => ({
  kind: 'parked',
  parked: { node: 'n', nonce: '3', ...(queued && { queued }) },
})
const step: CallRecord = { kind: 'step', step: { id: 's', phase: 'done', value: '[1]' } }

/** Which code the node behind the last claim finds to have run the call. */
test.each<[string, string | undefined, CallRecord[]]>([
  ['who opened it', 'v1', [request('v1'), claim('v2')]],
  ['who took it over, and recorded a step', 'v2', [request('v1'), claim('v2'), step, claim('v3')]],
  ['who took it over, and may have done something', 'v2', [request('v1'), claim('v2'), claim('v3')]],
  ['not who gave it back', 'v1', [request('v1'), claim('v2'), returned, claim('v3')]],
  ['who parked it', 'v2', [request('v1'), claim('v2'), parked(), claim('v3')]],
  [
    'not who let it wait for its turn',
    'v1',
    [request('v1'), step, claim('v2'), parked('go-on'), claim('v3')],
  ],
  ['nobody known, of earlier releases', undefined, [request(), claim('v2')]],
  ['nobody known, who took it over', undefined, [request('v1'), claim(), step, claim('v2')]],
])('%s', async (_, version, records) => {
  const entries = records.map((record, place) => ({ id: `1-${place + 1}`, data: encodeRecord(record) }))
  expect((await EarlierRuns.read([entries])).version).toBe(version)
})
