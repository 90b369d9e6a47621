import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { done, working, connected, textOf, work } from './task-client.js'
import { TaskServer } from './task-server.js'

describe('progress', () => {
  test('is what the server says of the task, behind what it has said before', async () => {
    const said = (progress: number) =>
      `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress, message: 'begun' } })}\n\n`
    await using server = await TaskServer.start({
      call: ({ id, params }, response) => {
        const token = params._meta['progressToken']
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(said(2.5).replace('"progressToken":1', `"progressToken":${JSON.stringify(token)}`))
        const result = {
          resultType: 'task',
          taskId: 't',
          status: 'working',
          statusMessage: 'queued',
          pollIntervalMs: 1,
        }
        response.end(`id: 1\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`)
        return undefined
      },
      states: ['queued', 'half', 'half', 'nearly']
        .map((statusMessage) => ({ ...working, statusMessage }))
        .concat(done as never),
    })
    await using client = await connected(server)
    const told: unknown[] = []
    const result = await client.callTool(work, { onprogress: (progress) => void told.push(progress) })
    expect(textOf(result)).toBe('done')
    expect(told).toEqual([
      { progress: 2.5, message: 'begun' },
      { progress: 3.5, message: 'queued' },
      { progress: 4.5, message: 'half' },
      { progress: 5.5, message: 'nearly' },
    ])
  })

  test('comes now and then, so that resetTimeoutOnProgress holds for a task that is silent for long', async () => {
    await using server = await TaskServer.start({ states: [working], pollIntervalMs: 60_000 })
    await using client = await connected(server)
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      let told = 0
      const leave = new AbortController()
      const outcome = client.callTool(work, {
        timeout: 400,
        resetTimeoutOnProgress: true,
        signal: leave.signal,
        onprogress: () => void told++,
      })
      void outcome.catch(() => undefined)
      await server.until(() => server.count('tools/call') === 1)
      for (let waited = 0; waited < 1200; waited += 100) {
        await sleep(100)
        vi.advanceTimersByTime(10_000)
      }
      leave.abort(new Error('long enough'))
      await expect(outcome).rejects.toThrow('long enough')
      expect(told).toBeGreaterThan(3)
    } finally {
      vi.useRealTimers()
    }
  })
})
