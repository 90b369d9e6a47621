import { getEventListeners } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { LeftStreams } from '../../src/client/tasks/left-streams.js'
import { within } from '../support/within.js'
import { never } from './scripted-server.js'
import type { Reply } from './scripted-server.js'
import { done, working, question, connected, read, work, call } from './task-client.js'
import { refusing, resets, TaskServer } from './task-server.js'
import type { TaskScript } from './task-server.js'

describe.concurrent('when the client goes away', () => {
  test.each(['while it waits', 'while it asks', 'while the server is away'])(
    'the task is cancelled once, %s',
    async (when) => {
      const replies: Record<string, Reply[]> = {
        'while it asks': [never],
        'while the server is away': resets(1000),
      }
      const instead = { 'tasks/get': replies[when] ?? [] }
      await using server = await TaskServer.start({
        states: [working],
        pollIntervalMs: 60_000,
        created: { status: 'x' },
        instead,
      })
      await using client = await connected(server)
      const leave = new AbortController()
      const outcome = client.callTool(work, { signal: leave.signal })
      await server.until(() => server.count('tasks/get') === 1)
      leave.abort(new Error('enough'))
      await expect(outcome).rejects.toThrow('enough')
      await server.until(() => server.count('tasks/cancel') === 1)
      await client.close()
      expect(server.of('tasks/cancel')).toMatchObject([
        { params: { taskId: 'task 1' }, headers: { authorization: 'Bearer x', 'mcp-name': 'task 1' } },
      ])
      expect(server.count('tasks/get')).toBeLessThan(5)
    },
  )

  test('its time-out does so too', async () => {
    await using server = await TaskServer.start({ states: [working] })
    await using client = await connected(server)
    // By then there is a task, also on a machine that has other work.
    await expect(client.callTool(work, { timeout: 3000 })).rejects.toThrow('timed out')
    await server.until(() => server.count('tasks/cancel') === 1)
  })

  test('whoever stops reading does so too, and nothing is asked after that', async () => {
    await using server = await TaskServer.start({ states: [working] })
    const asks = (who: string) =>
      server.of('tasks/get').filter(({ headers }) => headers.authorization === who).length
    const first = await read(server, 'first')
    await server.until(() => asks('first') > 0)
    await first.cancel()
    await server.until(() => server.count('tasks/cancel') === 1)
    const before = asks('first')
    const second = await read(server, 'second')
    await server.until(() => asks('second') > 3)
    await second.cancel()
    expect(asks('first')).toBe(before)
  })

  test('after its answer nothing is cancelled', async () => {
    await using server = await TaskServer.start({ states: [working, done] })
    const leave = new AbortController()
    const client = await connected(server)
    await client.callTool(work, { signal: leave.signal })
    leave.abort()
    await client.close()
    await using later = await connected(server)
    await later.callTool(work)
    expect(server.count('tasks/cancel')).toBe(0)
  })
})

describe('nothing is kept', () => {
  test.each([
    ['JSON', { states: [working, done] }],
    ['streams of events', { states: [working, done], events: true }],
    ['questions', { states: [{ status: 'input_required', inputRequests: { a: question('a') } }] }],
    ['a task that fails', { states: [{ status: 'failed' }] }],
    ['credentials that are refused', { states: [], instead: { 'tasks/get': [refusing(401)] } }],
  ] as [string, TaskScript][])('of a signal that outlives its calls: %s', async (name, script) => {
    await using server = await TaskServer.start(script)
    const { signal } = new AbortController()
    const reader = await read(server, 'Bearer x', { signal })
    const { value } = await within(reader.first, 'what comes')
    expect(new TextDecoder().decode(value)).toMatch(/"id":1|^id: /)
    expect(await reader.read()).toMatchObject({ done: true })
    // A call whose client is to come back may still be cancelled.
    expect(getEventListeners(signal, 'abort')).toHaveLength(name.startsWith('credentials') ? 1 : 0)
  })

  test('of the times it was asked for', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => void warnings.push(warning)
    process.on('warning', note)
    const states = [...Array.from({ length: 12 }, () => working), done]
    const { outcome } = await call({ states })
    process.off('warning', note)
    expect(outcome).toBe('done')
    // Node.js warns when a signal has more than ten listeners.
    expect(warnings).toEqual([])
  })

  test('of progress for a client that does not read', async () => {
    await using server = await TaskServer.start({ states: [working] })
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      const reader = await read(server, 'Bearer x')
      await server.until(() => server.count('tasks/get') === 1)
      for (let told = 0; told < 100; told++) vi.advanceTimersByTime(10_000)
      await reader.first
      // The read that waited, and one more: the hundred are gone.
      await reader.read()
      const next = reader.read()
      await server.until(() => server.count('tasks/get') === 3)
      expect(await Promise.race([next, Promise.resolve('nothing')])).toBe('nothing')
      await reader.cancel()
    } finally {
      vi.useRealTimers()
    }
  })

  test('of streams to which nobody comes back, but for the last thousand', () => {
    const left = new LeftStreams<number>()
    for (let at = 0; at < 3000; at++) left.leave(`event ${at}`, at)
    const found = Array.from({ length: 3000 }, (_, at) => left.find(`event ${at}`)).filter(
      (at) => at !== undefined,
    )
    expect(found).toEqual(Array.from({ length: 1000 }, (_, at) => 2000 + at))
  })
})
