import { isDeepStrictEqual } from 'node:util'
import { listCalls } from '@mcp-durable/core/inspect'
import { runsOf } from '@mcp-durable/core/runs'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { expect, test } from 'vitest'
import { cli, json, out } from '../packages/cli/test/support/cli.js'
import { waitFor } from '../test-support/index.js'
import {
  begin,
  beginInSession,
  client,
  did,
  isParked,
  kindsOf,
  node,
  recordsOf,
  redis,
  refusal,
  runs,
  store,
  useRuns,
} from './support/runs.js'

// Cancelling and listing calls from outside, as whoever operates the server does: by the API, and by the command line.

useRuns()

test.each([
  ['without a session', begin],
  ['in a session', beginInSession],
])('a running call is cancelled %s, on whichever node it runs', async (_where, start) => {
  const call = await start('run')
  await waitFor(() => did.includes('began'))
  expect(await runs().cancel(call, { reason: 'enough' })).toEqual({ inHistory: false })
  await waitFor(() => did.length === 2)
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  expect((await recordsOf(call)).at(-1)).toBe('cancelled "enough"')
  const again = await refusal(runs().cancel(call))
  expect(again).toMatchObject({
    code: 'run-ended',
    message: expect.stringContaining('was cancelled') as string,
  })
})

test('a call that nobody owns is cancelled by the node that claims it', async () => {
  const call = await begin('ask')
  await waitFor(() => isParked(call))
  await runs().cancel(call)
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  expect(await kindsOf(call)).toEqual(['request', 'question', 'parked', 'passed', 'claim', 'cancelled'])
  expect(await store.listOpenCalls(call.scope)).toEqual([])
})

test('two operators cancel at once: it is cancelled once, and both are told so', async () => {
  const call = await begin('ask')
  await waitFor(() => isParked(call))
  await Promise.all([runs().cancel(call), runsOf(store, { by: 'bob' }).cancel(call)])
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  const kinds = await kindsOf(call)
  expect(kinds.filter((kind) => kind === 'cancelled')).toHaveLength(1)
  expect(kinds.filter((kind) => kind === 'passed')).toHaveLength(1)
})

test.each([
  ['fine', 'has ended with a result'],
  ['fails', 'has ended with a tool error'],
])('a call of %s is not cancelled, and why', async (name, told) => {
  const call = await begin(name)
  await call.ended
  const { code, message } = await refusal(runs().cancel(call))
  expect({ code, message }).toMatchObject({
    code: 'run-ended',
    message: expect.stringContaining(told) as string,
  })
})

test('a call that never was is not cancelled, nor is one that nobody may name', async () => {
  const none = { scope: 'x'.repeat(22), callId: 'x'.repeat(22) }
  expect((await refusal(runs().cancel(none))).code).toBe('run-gone')
  for (const by of ['', 'two\nlines', 'x'.repeat(201)])
    expect(() => runsOf(store, { by })).toThrow(/one line/)
})

test('who has cancelled is in the history, where one is kept', async () => {
  const kept = store.open({ name: 'kept' })
  const keeper = node({ name: 'kept', history: { keep: '1h' } })
  const call = await begin('ask', { at: keeper })
  await waitFor(async () => (await kept.listOpenCalls(call.scope)).some(({ owner }) => owner === ''))
  expect(await runsOf(kept, { by: 'ann' }).cancel(call, { reason: 'enough' })).toEqual({ inHistory: true })
  const newest = async () => (await kept.history(call.scope, { limit: 100 })).at(-1)?.data
  await waitFor(async () => (await newest())?.startsWith('cancelled '))
  const history = await kept.history(call.scope, { limit: 100 })
  const of = (log: string) => history.filter((entry) => entry.log === log).map(({ data }) => data)
  expect(of(`call:${call.callId}:in`)).toEqual([expect.stringContaining('"by":"ann"')])
  expect(of(`call:${call.callId}`).join('\n')).toMatch(/^passed .*"by":"ann","action":"cancel"/m)
  await keeper.close({ graceMs: 0 })
  // Nobody is there any more who says for how long it is kept.
  const late = await refusal(runsOf(kept, { by: 'ann' }).cancel(call))
  expect(late.code).toBe('run-history')
  await kept.close()
})

test('calls are listed by tool, status, principal and age', async () => {
  const inspect = inspectRedis(client)
  const of = async (wanted: Parameters<typeof listCalls>[1]) =>
    (await listCalls(inspect, { principal: 'lea', ...wanted })).calls.map(({ title, status }) => [
      title.replace('tools/call ', ''),
      status,
    ])
  for (const name of ['run', 'ask', 'nap']) await begin(name, { user: 'lea' })
  for (const name of ['fine', 'fails']) await (await begin(name, { user: 'lea' })).ended
  const cancelled = await begin('run', { user: 'lea' })
  await runs().cancel(cancelled)
  await cancelled.ended
  const open = async () => (await of({})).map((call) => call.join(' ')).toSorted()
  const all = ['ask waiting', 'nap sleeping', 'run running']
  await waitFor(async () => isDeepStrictEqual(await open(), all))
  expect(await of({ status: ['completed'] })).toEqual([['fine', 'completed']])
  expect(await of({ status: ['failed'] })).toEqual([['fails', 'failed']])
  expect(await of({ status: ['sleeping', 'cancelled'] })).toEqual([
    ['nap', 'sleeping'],
    ['run', 'cancelled'],
  ])
  expect(await of({ tool: 'run', ended: true })).toEqual([
    ['run', 'running'],
    ['run', 'cancelled'],
  ])
  expect(await of({ olderThanMs: 3_600_000, ended: true })).toEqual([])
  expect(await of({ newerThanMs: 3_600_000, ended: true })).toHaveLength(6)
  const filters = ['--principal', 'lea', '--status', 'sleeping, waiting', '--newer-than', '1h']
  const { calls } = await json<{ calls: { status: string }[] }>(redis.url, 'calls', ...filters)
  expect(calls.map(({ status }) => status)).toEqual(['waiting', 'sleeping'])
  expect(await out(redis.url, 'calls', '--tool', 'nobody')).toMatch(
    /^no open calls under the prefix mcp .*\n$/,
  )
  for (const wrong of [
    ['--status', 'done'],
    ['--older-than', '5 weeks'],
  ])
    expect(await cli(redis.url, 'calls', ...wrong)).toMatchObject({ code: 2 })
})

test('the command cancels, says who does it, and says why it does not', async () => {
  const call = await begin('ask')
  const done = await out(redis.url, 'cancel', call.callId, '--by', 'ann', '--reason', 'enough')
  expect(done).toContain('is asked to end')
  expect(done).toContain('no history is kept')
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  const again = await cli(redis.url, 'cancel', call.callId)
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('was cancelled') as string })
  expect((await cli(redis.url, 'cancel', 'nobody')).stderr).toContain("there is no call 'nobody'")
})
