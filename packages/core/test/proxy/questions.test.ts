import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Behind, isRun } from '../support/bad-answers.js'
import { byHand, resultFor, SSE } from '../support/raw-upstream.js'
import { Session } from '../support/session.js'

// Servers number their questions as they like; those of the SDK begin with 0 in each session.

const write = (socket: Socket, message: object) =>
  socket.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)

test('the question that is withdrawn is the newest with its id', async () => {
  await using behind = await Behind.start()
  let calls = 0
  behind.upstream.instead = (request, socket) => {
    if (!isRun(request)) return undefined
    return byHand(socket, () => {
      socket.write(SSE)
      write(socket, { id: 0, method: 'roots/list' })
      const params = { requestId: 0, reason: 'timeout' }
      if (calls++ > 0) write(socket, { method: 'notifications/cancelled', params })
      write(socket, resultFor(request.message.id))
      socket.end()
    })
  }
  const session = await Session.begin(behind.nodes)
  const [unanswered] = await (await session.call('run')).messages()
  expect(unanswered).toMatchObject({ method: 'roots/list' })
  const [asked, withdrawn] = (await (await session.call('run')).messages()) as { id?: string }[]
  expect(asked).toMatchObject({ method: 'roots/list' })
  expect(withdrawn).toMatchObject({ method: 'notifications/cancelled', params: { requestId: asked?.id } })
})
