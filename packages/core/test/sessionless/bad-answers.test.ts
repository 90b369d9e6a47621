import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Alone } from '../support/alone.js'
import { Behind, ENDLESS, isRun, likely, UNUSABLE } from '../support/bad-answers.js'
import { byHand, CRLF, head, jsonAnswer, resultFor, SSE } from '../support/raw-upstream.js'
import type { RawRequest } from '../support/raw-upstream.js'
import { expectJson, textOf } from '../support/session.js'
import { EventReader } from '../support/event-reader.js'
import { waitFor } from '../../../../test-support/index.js'

// As with sessions: whatever an upstream answers is an answer to one request, whichever version it speaks.

const SPEAKS = ['sessions', 'no sessions'] as const
type Speaks = (typeof SPEAKS)[number]
const DISCOVERED = { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }

async function start(speaks: Speaks) {
  const behind = await Behind.start({ eras: ['2026-07-28'], retryMs: 20 })
  const usual: typeof behind.upstream.instead = ({ message: { id, method } }, socket) =>
    speaks === 'no sessions' && method === 'server/discover'
      ? byHand(socket, () => socket.write(jsonAnswer({ jsonrpc: '2.0', id, result: DISCOVERED })))
      : undefined
  behind.upstream.instead = usual
  const client = new Alone(behind.nodes)
  /** To these methods of requests. */
  const answer = (methods: readonly string[], given: typeof usual) => {
    behind.upstream.instead = (request, socket) =>
      methods.includes(request.message.method ?? '') ? given(request, socket) : usual(request, socket)
  }
  /** What a call comes to, on its stream or in place of it, for a client that comes back. */
  const outcome = async () => {
    const response = await client.request('tools/call', { name: 'run', arguments: {} })
    if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
      return { status: response.status, last: (await response.json()) as object }
    let stream = new EventReader(response)
    const priming = await stream.next()
    for (;;) {
      const last = (await stream.messages()).at(-1)
      if (last && !('method' in last)) return { status: 200, last }
      stream = await client.stream(priming?.id)
    }
  }
  const run = async () => textOf((await outcome()).last as never)
  return Object.assign(behind, { client, answer, outcome, run })
}

describe.each(SPEAKS)('an upstream that speaks %s', (speaks) => {
  test.each(UNUSABLE)(
    'answers with %s: an error that says so, and all else goes on',
    async (_name, given, told) => {
      await using behind = await start(speaks)
      expect(await behind.run()).toBe('fine')
      behind.answer(['tools/call', 'prompts/get'], ({ message }) => given(message.id))
      const { last } = await behind.outcome()
      expect(last).toMatchObject({ error: { message: expect.stringMatching(told) as string } })
      const response = await behind.client.request('prompts/get', { name: 'p' })
      expect(await expectJson(response, 502)).toMatchObject({
        error: { message: expect.stringMatching(told) as string },
      })
      if (!/elsewhere/.test(told.source)) expect(behind.warnings.join()).toMatch(told)
      behind.answer([], () => undefined)
      // A connection that was kept may just have been closed.
      await (await behind.client.request('tools/list')).text()
      expect(await behind.run()).toBe('fine')
    },
  )

  test.each(ENDLESS)(
    'answers with %s without an end: it is left, and said',
    async (_name, begin, more, told) => {
      await using behind = await start(speaks)
      let left = 0
      behind.answer(['tools/call'], (_request, socket) =>
        byHand(socket, () => {
          const write = () => socket.writable && socket.write(more, write)
          socket.on('close', () => left++)
          socket.write(begin, write)
        }),
      )
      expect((await behind.outcome()).last).toMatchObject({
        error: { message: expect.stringMatching(told) as string },
      })
      await waitFor(() => left === 1)
    },
  )

  test('breaks off: an interruption, and what came is not believed', async () => {
    await using behind = await start(speaks)
    const whole = (id: unknown) => jsonAnswer(resultFor(id as string))
    const cut: ((request: RawRequest) => string)[] = [
      ({ message }) => whole(message.id).slice(0, -10),
      () => SSE + 'data: {"jsonrpc":"2.0",',
      () =>
        `${head('200 OK', { 'transfer-encoding': 'chunked', 'content-type': 'application/json' })}5${CRLF}{"jso`,
      () => '',
    ]
    for (const given of cut) {
      behind.answer(['tools/call'], given)
      expect(await behind.run()).toMatch(/outcome is unknown/)
    }
  })

  test('goes on with a stream that had ids', async () => {
    await using behind = await start(speaks)
    let id: unknown
    behind.upstream.instead = ((usual) => (request, socket) => {
      if (request.method === 'GET' && request.headers['last-event-id'] === 'e1')
        return `${SSE}data: ${JSON.stringify(resultFor(id as string, 'resumed'))}\n\n`
      if (!isRun(request)) return usual(request, socket)
      id = request.message.id
      return `${SSE}id: e1\nretry: 10\ndata: \n\n`
    })(behind.upstream.instead)
    expect(await behind.run()).toBe('resumed')
  })

  test('answers with any bytes: each call ends', async () => {
    await using behind = await start(speaks)
    const until = Date.now() + 1500
    const property = fc.asyncProperty(likely, async (answer) => {
      if (Date.now() > until) return
      behind.answer(['tools/call'], ({ message }) => answer.replaceAll('ID', String(message.id)))
      expect((await behind.outcome()).last).toSatisfy((last: object) => 'result' in last || 'error' in last)
    })
    await fc.assert(property, { seed: 20_260_728, numRuns: 1500 })
    behind.answer([], () => undefined)
    await (await behind.client.request('tools/list')).text()
    expect(await behind.run()).toBe('fine')
  })

  test('answers the question what it speaks with any bytes: requests end, and later ones are served', async () => {
    await using behind = await start(speaks)
    const until = Date.now() + 1000
    const property = fc.asyncProperty(likely, async (answer) => {
      if (Date.now() > until) return
      const methods = ['server/discover', 'initialize']
      behind.answer(methods, ({ message }) => answer.replaceAll('ID', String(message.id)))
      const response = await behind.client.request('server/discover')
      expect(response.status).toBeGreaterThanOrEqual(200)
      await response.text()
    })
    await fc.assert(property, { seed: 20_260_728, numRuns: 1000 })
    behind.answer([], () => undefined)
    await waitFor(async () => (await behind.client.request('tools/list')).ok, {
      what: 'it is asked again',
    })
  })
})

test('an upstream that speaks sessions answers initialize with an error that names no request: the request gets it', async () => {
  await using behind = await start('sessions')
  const error = { code: -32042, message: 'not today' }
  behind.answer(['initialize'], () => jsonAnswer({ jsonrpc: '2.0', id: null, error }))
  const response = await behind.client.request('server/discover', {}, { id: 'd' })
  expect(await response.json()).toMatchObject({ id: 'd', error })
})

const ODD: readonly unknown[] = [null, 5, 'x', [], [null], [5, { name: 'run' }], {}, true]

test.each(SPEAKS)(
  'an upstream that speaks %s lists what is no tool: its tools can be called',
  async (speaks) => {
    for (const tools of ODD) {
      await using behind = await start(speaks)
      behind.answer(['tools/list'], ({ message: { id } }, socket) =>
        byHand(socket, () => socket.write(jsonAnswer({ jsonrpc: '2.0', id, result: { tools } }))),
      )
      expect(await behind.run(), JSON.stringify(tools)).toBe('fine')
    }
  },
)

test('an upstream says of itself what is odd: what it is asked it answers', async () => {
  for (const odd of ODD) {
    await using behind = await start('no sessions')
    const result = { ...DISCOVERED, capabilities: odd, instructions: odd, _meta: odd }
    behind.answer(['server/discover'], ({ message: { id } }, socket) =>
      byHand(socket, () => socket.write(jsonAnswer({ jsonrpc: '2.0', id, result }))),
    )
    expect(await behind.run(), JSON.stringify(odd)).toBe('fine')
  }
})

test('an upstream agrees to tell of what is odd: its client listens', async () => {
  for (const odd of [...ODD, { resourceSubscriptions: 5 }, 'x'.repeat(90_000)]) {
    await using behind = await start('no sessions')
    const method = 'notifications/subscriptions/acknowledged'
    behind.answer(['subscriptions/listen'], (_request, socket) =>
      byHand(socket, () => {
        const said = { jsonrpc: '2.0', method, params: { notifications: odd } }
        socket.write(`${SSE}data: ${JSON.stringify(said)}\n\n`)
      }),
    )
    const notifications = { resourceSubscriptions: ['test://r'], toolsListChanged: true }
    const response = await behind.client.request('subscriptions/listen', { notifications })
    expect(response.status, JSON.stringify(odd).slice(0, 100)).toBe(200)
    const stream = new EventReader(response)
    expect((await stream.nextMessage()).message).toMatchObject({ method })
    await behind.mcps[0]!.changed.resource('test://r')
    await stream[Symbol.asyncDispose]()
  }
})
