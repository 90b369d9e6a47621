import type { Store } from '@mcp-durable/core'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace } from '@mcp-durable/core/runs'
import { describe, expect, test } from 'vitest'
import { cli, out } from '../packages/cli/test/support/cli.js'
import { waitFor } from '../test-support/index.js'
import {
  book,
  begin,
  beginInSession,
  did,
  ended,
  endedSteps,
  endOf,
  isParked,
  kindsOf,
  recordsOf,
  redis,
  refusal,
  runs,
  store,
  useRuns,
} from './support/runs.js'

// Calls that an operator has gone on, from a step or from a sleep.

useRuns()

describe('a call goes on from a step, in another call', () => {
  test.each([
    ['without a session', begin],
    ['in a session', beginInSession],
  ])('%s: the steps before it are not done again, those from it on are', async (_where, start) => {
    const old = await start('book')
    await old.ended
    book.isBroken = false
    did.length = 0
    const { call } = await runs().fork(old, { from: { name: 'confirm' } })
    expect(await endOf(call)).toMatch(/^response /)
    expect(did).toEqual(['confirm'])
    const [kept, theirs] = [await recordsOf(old), await recordsOf(call)]
    const steps = (all: string[]) => all.filter((data) => data.startsWith('step '))
    // The same ids, charges and times; the last one is its own.
    expect(steps(theirs).slice(0, -1)).toEqual(steps(kept).slice(0, -1))
    expect(steps(theirs)).toHaveLength(7)

    did.length = 0
    const repeats = await refusal(runs().fork(old, { from: { name: 'charge' } }))
    expect(repeats.code).toBe('run-repeats')
    const second = await runs().fork(old, { from: { name: 'charge' }, repeat: true })
    await ended(second.call)
    // What it was given of the step before is what that came to then.
    expect(did).toEqual(['charge 1', 'confirm'])
  })

  test('a step that is none is refused, and which are near; and a tool that has no steps', async () => {
    const old = await begin('book')
    await old.ended
    const none = await refusal(runs().fork(old, { from: { name: 'confrim' } }))
    expect(none).toMatchObject({
      code: 'run-step',
      message: expect.stringMatching(/Nearest: confirm,/) as string,
    })
    const plain = await begin('gone')
    await plain.ended
    expect((await refusal(runs().fork(plain, { from: { name: 'x' } }))).message).toContain(
      'only a durable tool',
    )
    const said = await cli(redis.url, 'fork', old.callId, '--from', 'charg')
    expect(said).toMatchObject({ code: 1, stderr: expect.stringContaining('Nearest: charge') as string })
    expect(await cli(redis.url, 'fork', old.callId)).toMatchObject({ code: 2 })
    expect(await out(redis.url, 'fork', old.callId, '--from', 'confirm', '--by', 'ann')).toContain(
      'is for the nodes to run',
    )
  })

  test('steps side by side: from where none had begun that has not ended', async () => {
    const bothBegan = () => did.includes('first') && did.includes('second')
    const old = await begin('beside')
    await waitFor(bothBegan)
    await runs().cancel(old)
    await ended(old)
    const open = await refusal(runs().fork(old, { from: { name: 'third' } }))
    expect(open).toMatchObject({
      code: 'run-step',
      message: expect.stringContaining('not ended: first') as string,
    })
    const several = await refusal(runs().fork(old, { from: { name: 'item' } }))
    expect(several.message).toContain("there are 2 steps 'item'")
    did.length = 0
    const { call } = await runs().fork(old, { from: { name: 'item', key: 'b' }, repeat: true })
    await waitFor(bothBegan)
    expect(did.toSorted()).toEqual(['first', 'item b', 'second'])
    await runs().cancel(call)
    await ended(call)
  })

  test('a question before it that no step has asked is refused; one of a step keeps its answer', async () => {
    const old = await begin('ask')
    await runs().cancel(old)
    await ended(old)
    const { call } = await runs().fork(old, { from: { name: 'colour' } })
    await waitFor(async () => (await kindsOf(call)).includes('question'))
    await runs().cancel(call)
    await ended(call)
  })
})

describe('a call that sleeps is resumed', () => {
  test('when no node holds it: that sleep ends, once, and a later one does not', async () => {
    const call = await begin('nap')
    await waitFor(() => isParked(call))
    expect(await runs().resume(call)).toEqual({ inHistory: false })
    await waitFor(() => did.includes('woke'))
    await waitFor(async () => (await endedSteps(call)).length === 1)
    expect(await endedSteps(call)).toEqual(['a while'])
    // It sleeps again, and can be resumed again.
    await waitFor(() => isParked(call))
    expect(did).toEqual(['woke'])
    await runs().resume(call)
    expect(await endOf(call)).toMatch(/^response /)
    expect(await endedSteps(call)).toEqual(['a while', 'again'])
    expect((await refusal(runs().resume(call))).code).toBe('run-ended')
  })

  test('in a session, where its node holds it; by two at once, who end it once', async () => {
    const call = await beginInSession('nap')
    await waitFor(async () => (await recordsOf(call)).some((data) => data.includes('deadline')))
    await Promise.all([runs().resume(call), runsOf(store, { by: 'bob' }).resume(call)])
    await waitFor(() => did.includes('woke'))
    await waitFor(async () => (await recordsOf(call)).some((data) => data.includes('again')))
    expect(await endedSteps(call)).toEqual(['a while'])
    expect(did).toEqual(['woke'])
    await runs().resume(call)
    expect(await endOf(call)).toMatch(/^response /)
  })

  test('one that does not sleep is refused', async () => {
    for (const name of ['ask', 'run']) {
      const call = await begin(name)
      await waitFor(async () => name === 'ask' || did.includes('began'))
      expect((await refusal(runs().resume(call))).code).toBe('run-awake')
      await runs().cancel(call)
      await ended(call)
    }
  })

  test('by the command', async () => {
    const call = await begin('nap')
    await waitFor(() => isParked(call))
    expect(await out(redis.url, 'resume', call.callId, '--by', 'ann')).toContain('goes on')
    await waitFor(() => did.includes('woke'))
    const shown = await out(redis.url, 'call', call.callId)
    expect(shown).toContain('ann wakes a while')
    await runs().cancel(call)
    await ended(call)
  })

  /** As if the process died before it could hand the call over; `appends`: or copy the records of a fork. */
  const dying = (what: 'claimCall' | 'appendCall'): Store =>
    new Proxy(store, {
      get: (of, name) => {
        if (name === what) return () => Promise.reject(new Error('died'))
        const value: unknown = Reflect.get(of, name, of)
        return typeof value === 'function' ? (value.bind(of) as unknown) : value
      },
    })
  const madeOf = async (old: CallPlace) => {
    const inbox = await store.read(old.scope, `call:${old.callId}:in`, '0-0', 9)
    const { scope, callId } = JSON.parse(inbox?.at(-1)?.data.slice('became '.length) ?? '') as CallPlace
    return { scope, callId }
  }

  test('and so is one that was made, and not handed over', async () => {
    const old = await begin('gone')
    await old.ended
    await expect(runsOf(dying('claimCall'), { by: 'ann' }).retry(old)).rejects.toThrow('died')
    const made = await madeOf(old)
    expect((await refusal(runs().retry(old))).code).toBe('run-retried')
    expect(did).toEqual(['gone'])
    await runs().resume(made)
    await ended(made)
    expect(did).toEqual(['gone', 'gone'])
    expect(await kindsOf(made)).toEqual(['request', 'passed', 'claim', 'handler', 'response'])
  })

  test('but not a fork that lacks steps: those would be done again', async () => {
    const old = await begin('book')
    await old.ended
    did.length = 0
    const dead = runsOf(dying('appendCall'), { by: 'ann' }).fork(old, { from: { name: 'confirm' } })
    await expect(dead).rejects.toThrow('died')
    const made = await madeOf(old)
    expect((await refusal(runs().resume(made))).message).toContain('was not finished')
    expect(await kindsOf(made)).toEqual(['request'])
    expect(did).toEqual([])
  })
})
