import { expect, test } from 'vitest'
import { Behind, isRun } from '../support/bad-answers.js'
import { byHand, head, resultFor, SSE } from '../support/raw-upstream.js'
import { Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// A tool may give its question up by itself, say nothing of it, and go on: the answer that comes then is refused, and nothing else.

const isAnswer = (message: object) => 'result' in message
const refused = (status: number) => head(`${status} No`, { 'content-length': '0', connection: 'close' })

/** A call whose tool asks, and is told how its upstream takes the answer, each time; it ends with the test. */
async function asking(behind: Behind, take: (times: number) => string | undefined) {
  let finish = () => undefined as void
  let times = 0
  behind.upstream.instead = (request, socket) => {
    if (isAnswer(request.message)) {
      const taken = take(++times)
      return taken ?? byHand(socket, () => socket.destroy())
    }
    if (!isRun(request)) return undefined
    const write = (message: object) => socket.write(`data: ${JSON.stringify(message)}\n\n`)
    finish = () => {
      write(resultFor(request.message.id))
      socket.end()
    }
    return byHand(socket, () => {
      socket.write(SSE)
      write({ jsonrpc: '2.0', id: 0, method: 'roots/list' })
    })
  }
  const session = await Session.begin(behind.nodes)
  const call = await session.call('run')
  const asked = await call.nextMessage()
  await session.answer((asked.message as { id?: string }).id, { roots: [] })
  return { call, finish: () => finish() }
}

test.each([
  ['400', () => refused(400)],
  ['410', () => refused(410)],
  ['500, again and again', () => refused(500)],
  ['401, and may have been taken before', (times: number) => (times === 1 ? undefined : refused(401))],
])('an answer that is refused with %s is on the log, and its call goes on', async (_name, take) => {
  await using behind = await Behind.start({ upstreamGraceMs: 100 })
  const { call, finish } = await asking(behind, take)
  await using _ = call
  await waitFor(() => behind.warnings.length > 0)
  finish()
  expect((await call.messages()).map(textOf)).toEqual(['fine'])
  expect(behind.warnings).toEqual([expect.stringMatching(/did not take a message: it answered/)])
  const methods = behind.upstream.requests.map(({ message }) => message.method)
  expect(methods).not.toContain('notifications/cancelled')
})
