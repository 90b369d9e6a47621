import type { RunRefusedError } from '@mcp-durable/core/errors'
import { runsOf } from '@mcp-durable/core/runs'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { cli, json, out } from '../packages/cli/test/support/cli.js'
import { waitFor } from '../test-support/index.js'
import {
  book,
  begin,
  beginInSession,
  did,
  ended,
  endOf,
  node,
  recordsOf,
  redis,
  refusal,
  runs,
  store,
  useRuns,
} from './support/runs.js'

// Calls that an operator has done again.

useRuns()

describe('a call is done again', () => {
  const WHERE = [
    ['without a session', begin],
    ['in a session', beginInSession],
  ] as const

  test.each(WHERE)(
    '%s: another call, with the old arguments, that knows of the old one',
    async (_where, start) => {
      const old = await start('book')
      await old.ended
      expect(did).toEqual(['hold', 'charge 1', 'confirm'])
      const repeats = await refusal(runs().retry(old))
      expect(repeats).toMatchObject({
        code: 'run-repeats',
        message: expect.stringContaining('charge') as string,
      })
      expect(did).toHaveLength(3)
      book.isBroken = false
      const { call, inHistory } = await runs().retry(old, { repeat: true })
      expect(inHistory).toBe(false)
      expect(call.scope === old.scope).toBe(old.scope !== old.callId)
      expect(await endOf(call)).toMatch(/^response /)
      expect(did.slice(3)).toEqual(['hold', 'charge 4', 'confirm'])
      const [request = '', ...rest] = await recordsOf(call)
      const { of, messages } = JSON.parse(request.slice('request '.length)) as {
        of: object
        messages: { params: object }[]
      }
      expect(of).toEqual({ scope: old.scope, callId: old.callId, action: 'retry', by: 'ann' })
      expect(messages).toMatchObject([{ id: call.callId, params: { name: 'book', arguments: {} } }])
      expect(rest.slice(0, 2).map((data) => data.split(' ')[0])).toEqual(['passed', 'claim'])
      const inbox = await store.read(old.scope, `call:${old.callId}:in`, '0-0', 9)
      expect(inbox?.map(({ data }) => data)).toEqual([
        `became ${JSON.stringify({ ...call, action: 'retry', by: 'ann' })}`,
      ])
      const again = await refusal(runs().retry(old, { repeat: true }))
      expect(again).toMatchObject({ code: 'run-retried', call })
      expect((await refusal(runs().retry(call))).code).toBe('run-succeeded')
    },
  )

  test('two operators do it at once: one call is made', async () => {
    const old = await begin('gone')
    await old.ended
    const both = ['ann', 'bob'].map((by) => runsOf(store, { by }).retry(old))
    const settled = await Promise.allSettled(both)
    const done = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value.call] : []))
    const failed = settled.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as RunRefusedError] : [],
    )
    expect(done).toHaveLength(1)
    expect(failed).toMatchObject([{ call: done[0] }])
    expect(['run-busy', 'run-retried']).toContain(failed[0]?.code)
    await ended(done[0]!)
    expect(did).toEqual(['gone', 'gone'])
  })

  test('and cancelled at the same time: it is not done again before it has ended', async () => {
    const old = await begin('run')
    await waitFor(() => did.includes('began'))
    const [cancelled, retried] = await Promise.allSettled([runs().cancel(old), runs().retry(old)])
    expect(cancelled.status).toBe('fulfilled')
    if (retried.status === 'rejected') expect((retried.reason as RunRefusedError).code).toBe('run-open')
    await ended(old)
    const { call } = retried.status === 'fulfilled' ? retried.value : await runs().retry(old)
    await waitFor(() => did.filter((what) => what === 'began').length === 2)
    await runs().cancel(call)
    expect(await endOf(call)).toMatch(/^cancelled /)
  })

  test('a running one is refused, and one that has succeeded, and what is no tool', async () => {
    const running = await begin('ask')
    expect((await refusal(runs().retry(running))).code).toBe('run-open')
    await runs().cancel(running)
    const fine = await begin('fine')
    await fine.ended
    expect((await refusal(runs().retry(fine))).message).toContain('has ended with a result')
    await ended(running)
  })

  test('a tool that is not durable, and was cancelled, needs a word', async () => {
    const old = await begin('hangs')
    await waitFor(() => did.includes('hangs'))
    await runs().cancel(old)
    await ended(old)
    expect((await refusal(runs().retry(old))).code).toBe('run-repeats')
    const { call } = await runs().retry(old, { repeat: true })
    await waitFor(() => did.filter((what) => what === 'hangs').length === 2)
    await runs().cancel(call)
    await ended(call)
  })

  test('when no node is there, the first one that comes runs it; and all of it is in its history', async () => {
    const kept = store.open({ name: 'alone' })
    const first = node({ name: 'alone', history: { keep: '1h' } })
    const old = await begin('gone', { at: first, user: 'ann' })
    await old.ended
    const { call, inHistory } = await runsOf(kept, { by: 'ann' }).retry(old)
    expect(inHistory).toBe(true)
    await waitFor(async () =>
      (await kept.history(call.scope, { limit: 9 })).at(-1)?.data.startsWith('response '),
    )
    const history = await kept.history(call.scope, { limit: 99 })
    expect(history.map(({ data }) => data.split(' ')[0])).toEqual([
      'request',
      'passed',
      'claim',
      'handler',
      'response',
    ])
    const ofOld = await kept.history(old.scope, { limit: 99 })
    expect(ofOld.at(-1)?.data).toContain(`became {"scope":"${call.scope}"`)
    const { principal } = (await kept.readSession(call.scope))!
    expect(principal).toBe('ann')
    await first.close({ graceMs: 0 })
    await kept.close()

    const bare = store.open({ name: 'bare' })
    const one = node({ name: 'bare' })
    const failed = await begin('gone', { at: one })
    await failed.ended
    await one.close({ graceMs: 0 })
    const made = await runsOf(bare, { by: 'ann' }).retry(failed)
    const two = node({ name: 'bare' })
    await waitFor(async () => {
      const entries = await bare.read(made.call.scope, `call:${made.call.callId}`, '0-0', 99)
      return entries?.at(-1)?.data.startsWith('response ')
    })
    await two.close({ graceMs: 0 })
    await bare.close()
  })

  test('a node that does not have the tool leaves it to one that does', async () => {
    const mixed = store.open({ name: 'mixed' })
    const first = node({ name: 'mixed' })
    const old = await begin('gone', { at: first })
    await old.ended
    await first.close({ graceMs: 0 })
    const without = node({ name: 'mixed', server: () => new McpServer({ name: 'runs', version: '2' }) })
    const { call } = await runsOf(mixed, { by: 'ann' }).retry(old)
    const kinds = async () =>
      ((await mixed.read(call.scope, `call:${call.callId}`, '0-0', 99)) ?? []).map(
        ({ data }) => data.split(' ')[0],
      )
    await waitFor(async () => (await kinds()).includes('returned'))
    expect(did).toEqual(['gone'])
    const second = node({ name: 'mixed' })
    await waitFor(async () => (await kinds()).includes('response'))
    expect(did).toEqual(['gone', 'gone'])
    await Promise.all([without, second].map((mcp) => mcp.close({ graceMs: 0 })))
    await mixed.close()
  })

  test('by the command, which asks before it repeats what runs at most once', async () => {
    const old = await begin('book')
    await old.ended
    const asked = await cli(redis.url, 'retry', old.callId)
    expect(asked.code).toBe(1)
    expect(asked.stderr).toMatch(/would have their effect again: charge.*Nobody is here to ask/s)
    book.isBroken = false
    const { call } = await json<{ call: string }>(redis.url, 'retry', old.callId, '--yes', '--full-ids')
    expect(await endOf({ scope: call, callId: call })).toMatch(/^response /)
    expect(await out(redis.url, 'call', call)).toMatch(
      /opened by \S+, to retry [\w-]{6}….*\n.*gives it to the nodes/,
    )
    expect(await out(redis.url, 'call', old.callId)).toMatch(/makes call [\w-]{6}… of it, to retry it/)
    const again = await cli(redis.url, 'retry', old.callId, '--yes')
    expect(again.stderr).toContain(`by the call ${call.slice(0, 6)}`)
    expect(again.stderr).not.toContain(call)
  })
})
