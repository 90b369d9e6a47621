import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { durable } from '../../src/index.js'
import type { CommonOptions } from '../../src/index.js'
import type { Nodes } from '../support/nodes.js'
import { byHand, RawUpstream, resultFor, SSE } from '../support/raw-upstream.js'
import { Session, textOf } from '../support/session.js'

// An upstream waits for the answer to each of its questions; one that the client is not asked has an answer too.

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
}
const write = (socket: Socket, message: object) =>
  socket.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
const roots = (id: number) => ({ id, method: 'roots/list', params: {} })

/** The upstream's answers to a call begin with these questions; its result is what it is told of the last one. */
async function refusalOf(questions: { id: number; method: string }[], settings: Partial<CommonOptions>) {
  await using upstream = await RawUpstream.start()
  let calling: Socket | undefined
  const answered: unknown[] = []
  upstream.instead = ({ message }, socket) => {
    if (message.method === 'tools/call') {
      return byHand(socket, () => {
        calling = socket
        socket.write(SSE)
        for (const question of questions) write(socket, question)
      })
    }
    const { id, error } = message as { id?: unknown; error?: { message: string } }
    if (message.method === undefined && error) {
      answered.push(id)
      if (calling) write(calling, resultFor(callId(upstream), error.message))
    }
    return undefined
  }
  const mcp = durable({ upstream: upstream.url, logger: silent, ...settings })
  const endpoint = () => ({
    fetch: (init?: RequestInit) => mcp.fetch(new Request('http://127.0.0.1/mcp', init)),
  })
  const session = await Session.begin({ endpoint } as unknown as Nodes)
  const messages = await (await session.call('run')).messages()
  await mcp.close({ graceMs: 0 })
  return { told: textOf(messages.at(-1)), answered }
}

const callId = ({ requests }: RawUpstream) =>
  requests.find(({ message }) => message.method === 'tools/call')?.message.id

test('a question that is larger than a record may be', async () => {
  const large = { ...roots(7), params: { _meta: { filler: 'x'.repeat(20_000) } } }
  const { told, answered } = await refusalOf([large], { maxRecordBytes: 10_000 })
  expect(told).toMatch(/maxRecordBytes/)
  expect(answered).toEqual([7])
})

test('more questions than a client has to answer at once', async () => {
  const { told, answered } = await refusalOf(
    Array.from({ length: 1001 }, (_, id) => roots(id)),
    {},
  )
  expect(told).toMatch(/1000 questions of this session/)
  expect(answered[0]).toBe(1000)
})
