import { expect, test } from 'vitest'
import { Behind, body, event } from '../support/bad-answers.js'
import { byHand, resultFor, SSE } from '../support/raw-upstream.js'
import { dataOf, Session, textOf } from '../support/session.js'

// In versions that have batches a server may put several messages into one body, or one event.

const note = (data: string) => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
})

test.each([
  ['an event', event],
  ['a body', body],
])('what stands beside the answer in %s reaches the client before it', async (_where, put) => {
  await using behind = await Behind.start()
  behind.answerCalls(({ message: { id } }) =>
    put(JSON.stringify([note('before'), resultFor(id), note('behind')])),
  )
  const session = await Session.begin(behind.nodes)
  const messages = await (await session.call('run')).messages()
  expect(messages.map((message) => dataOf(message) ?? textOf(message))).toEqual(['before', 'behind', 'fine'])
})

test('each message of a standalone event is one of its own, and comes once', async () => {
  await using behind = await Behind.start()
  const events = [
    ['e1', [note('one'), note('two')]],
    ['e2', note('three')],
  ] as const
  let streams = 0
  behind.upstream.instead = ({ method }, socket) => {
    if (method !== 'GET' || streams++ > 1) return undefined
    return byHand(socket, () => {
      // Asked for what is behind e1, it shows all there was.
      const shown = events.slice(0, streams)
      socket.write(`${SSE}retry: 10\n\n`)
      for (const [id, data] of shown) socket.write(`id: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
      if (streams === 1) socket.end()
    })
  }
  const session = await Session.begin(behind.nodes)
  await using stream = await session.stream()
  const seen: unknown[] = []
  while (seen.at(-1) !== 'three') seen.push(dataOf((await stream.nextMessage()).message))
  expect(seen).toEqual(['one', 'two', 'three'])
})
