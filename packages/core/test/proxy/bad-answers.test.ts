import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Behind, ENDLESS, event, isRun, likely, LIMIT, UNUSABLE } from '../support/bad-answers.js'
import { byHand, CRLF, head, jsonAnswer, resultFor, SSE } from '../support/raw-upstream.js'
import type { RawRequest } from '../support/raw-upstream.js'
import { expectJson, initialize, Session, textOf } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import { waitFor } from '../../../../test-support/index.js'

// Whatever an upstream answers, byte by byte, is an answer to one request: an error that says what came, a line on the
// log, and everything else goes on. An exception that nobody caught would fail the run of these tests.

describe.each(UNUSABLE)('[I-10] an upstream answers with %s', (_name, answer, told) => {
  test('a call, a request and initialize get an error that says so; the log has it, the session goes on', async () => {
    await using behind = await Behind.start()
    const session = await Session.begin(behind.nodes)
    behind.upstream.instead = ({ message }) =>
      message.method === 'tools/call' || message.method === 'prompts/get' || message.method === 'initialize'
        ? answer(message.id)
        : undefined
    const messages = await (await session.call('run')).messages()
    expect(messages).toEqual([
      expect.objectContaining({ error: { code: expect.any(Number), message: expect.stringMatching(told) } }),
    ])
    const requests = [session.request('prompts/get', { name: 'p' }), initialize(behind.nodes)]
    for (const response of await Promise.all(requests))
      expect(await expectJson(response, 502)).toMatchObject({
        error: { message: expect.stringMatching(told) },
      })
    if (!/elsewhere/.test(told.source)) expect(behind.warnings.join()).toMatch(told)
    behind.upstream.instead = () => undefined
    expect(await session.result('run')).toBe('fine')
  })
})

test('[I-10] an error that names no request is the answer to initialize', async () => {
  await using behind = await Behind.start()
  const error = { code: -32042, message: 'not today' }
  behind.upstream.instead = () => jsonAnswer({ jsonrpc: '2.0', id: null, error })
  const response = await initialize(behind.nodes)
  expect(await response.json()).toMatchObject({ id: expect.anything() as unknown, error })
})

test.each(ENDLESS)('[I-10] %s without an end is left, and said', async (_name, begin, more, told) => {
  await using behind = await Behind.start()
  const session = await Session.begin(behind.nodes)
  let left = 0
  behind.answerCalls((_request, socket) =>
    byHand(socket, () => {
      const write = () => socket.writable && socket.write(more, write)
      socket.on('close', () => left++)
      socket.write(begin, write)
    }),
  )
  const messages = await (await session.call('run')).messages()
  expect(messages).toMatchObject([{ error: { message: expect.stringMatching(told) } }])
  await waitFor(() => left === 1)
})

test('[I-10] an upstream that breaks off is an interruption: what came is not believed', async () => {
  await using behind = await Behind.start()
  const session = await Session.begin(behind.nodes)
  const whole = (id: unknown) => jsonAnswer(resultFor(id as string))
  const cut = [
    (id: unknown) => whole(id).slice(0, -10),
    (id: unknown) => whole(id).slice(0, 20),
    (id: unknown) => jsonAnswer(resultFor(id as string), { 'content-length': '100000' }),
    () =>
      `${head('200 OK', { 'transfer-encoding': 'chunked', 'content-type': 'application/json' })}5${CRLF}{"jso`,
    () => SSE + 'data: {"jsonrpc":"2.0",',
    () => '',
  ]
  for (const answer of cut) {
    behind.answerCalls(({ message }) => answer(message.id))
    const messages = await (await session.call('run')).messages()
    expect(messages.map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
  }
})

test('[I-10] what is no message is left out of a stream, and said once; what follows counts', async () => {
  await using behind = await Behind.start()
  const session = await Session.begin(behind.nodes)
  const strange = [
    '{"jsonrpc":"2.0"}',
    '7',
    '{"method":"notifications/message"}',
    '[null]',
    '{"jsonrpc":"2.0","id":"x","result":{}}',
  ]
  behind.answerCalls(({ message }) =>
    [
      SSE,
      ...strange.map((data) => `data: ${data}\n\n`),
      'event: odd\ndata: odd\n\n',
      'odd: x\n\n',
      `data: [${JSON.stringify(resultFor(message.id))}]\n\n`,
    ].join(''),
  )
  const messages = await (await session.call('run')).messages()
  expect(messages.map(textOf)).toEqual(['fine'])
  expect(behind.warnings).toEqual([expect.stringMatching(/no message of JSON-RPC/)])
})

test('[I-10] two answers on one connection, and one that nobody waits for', async () => {
  await using behind = await Behind.start()
  const session = await Session.begin(behind.nodes)
  const one = (id: unknown) => jsonAnswer(resultFor(id as string))
  behind.answerCalls(({ message }, socket) =>
    byHand(socket, () => socket.write(one(message.id) + one('more'))),
  )
  for (let n = 0; n < 3; n++) expect(await session.result('run')).toBe('fine')
})

/** The response of a call: a server that ends its stream makes the client come back. */
async function lastOf(session: Session) {
  let stream = await session.call('run')
  const priming = await stream.next()
  for (;;) {
    const messages = await stream.messages()
    const last = messages.at(-1)
    if (last && !('method' in last)) return last
    stream = await session.stream(priming?.id)
  }
}

describe('[I-3] ids of events that are not ASCII', () => {
  const ids = ['ü', '🦊 1', 'naïve/日本', '\u0080', "'%41\\"]

  /** The stream breaks behind an event with this id; whoever comes back with it gets the result. */
  function breakOnce(behind: Behind, id: string) {
    const back: Buffer[] = []
    let asked: RawRequest['message'] = {}
    behind.upstream.instead = (request) => {
      if (request.method === 'GET' && request.headers['last-event-id'] !== undefined) {
        back.push(Buffer.from(request.headers['last-event-id'], 'latin1'))
        return event(JSON.stringify(resultFor(asked.id, 'resumed')))
      }
      if (!isRun(request)) return undefined
      asked = request.message
      return `${SSE}id: ${id}\nretry: 10\ndata: \n\n`
    }
    return back
  }

  test.each(ids)('%j goes back as its bytes in UTF-8', async (id) => {
    await using behind = await Behind.start()
    const session = await Session.begin(behind.nodes)
    const back = breakOnce(behind, id)
    expect(textOf(await lastOf(session))).toBe('resumed')
    expect(back.map(String)).toEqual([id])
  })

  test('also from another node', async () => {
    await using behind = await Behind.start({}, 2)
    const session = await Session.begin(behind.nodes)
    const back = breakOnce(behind, 'größe')
    const { instead } = behind.upstream
    let open = false
    behind.upstream.instead = (request, socket) =>
      isRun(request)
        ? byHand(socket, () => socket.write(instead(request, socket)!, () => (open = true)))
        : instead(request, socket)
    await using call = await session.call('run')
    const priming = await call.next()
    await waitFor(() => open)
    const store = behind.storage.forNode()
    const isRecorded = async () => JSON.stringify(await contentOf(store)).includes('größe')
    await waitFor(isRecorded, { what: 'a record of the id' })
    await behind.mcps[0]!.close({ graceMs: 0 })
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map(textOf)).toEqual(['resumed'])
    expect(back.map(String)).toEqual(['größe'])
  })

  test.each([
    ['a control character', 'a\u0001b'],
    ['too much', 'x'.repeat(2000)],
  ])('%s is no place to come back to: the call is judged as one without ids', async (_name, id) => {
    await using behind = await Behind.start()
    const session = await Session.begin(behind.nodes)
    const back = breakOnce(behind, id)
    expect(await session.result('run')).toMatch(/outcome is unknown/)
    expect(back).toEqual([])
  })
})

test('[I-10] a standalone stream goes on behind an event that is too large', async () => {
  await using behind = await Behind.start()
  const session = await Session.begin(behind.nodes)
  const told = (data: string) =>
    event(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } }),
    )
  let opened = 0
  behind.upstream.instead = (request, socket) =>
    request.method === 'GET'
      ? byHand(socket, () => socket.write(opened++ === 0 ? told('x'.repeat(LIMIT)) : told('on')))
      : undefined
  await using stream = await session.stream()
  expect((await stream.nextMessage()).message).toMatchObject({ params: { data: 'on' } })
  expect(behind.warnings).toEqual([expect.stringMatching(/more than 100000 bytes/)])
})

test('[I-10] a session that can’t go into headers is refused', async () => {
  await using behind = await Behind.start()
  for (const protocolVersion of ['2025\n11', 'ü', '', 7, null, { a: 1 }, 'x'.repeat(100)]) {
    behind.upstream.instead = ({ message }) =>
      message.method === 'initialize'
        ? jsonAnswer({ jsonrpc: '2.0', id: message.id, result: { protocolVersion } })
        : undefined
    const refused = await expectJson(await initialize(behind.nodes), 502)
    expect(refused).toMatchObject({ error: { message: expect.stringMatching(/without a protocol version/) } })
  }
})

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_251_125)
const BUDGET_MS = Number(process.env['FUZZ_MS'] ?? 3_500)

test('[I-10] any bytes: each call ends, and the session goes on', async () => {
  await using behind = await Behind.start({ upstreamGraceMs: 50 })
  const session = await Session.begin(behind.nodes)
  const until = Date.now() + BUDGET_MS
  const property = fc.asyncProperty(likely, async (answer) => {
    if (Date.now() > until) return
    behind.answerCalls(({ message }) => answer.replaceAll('ID', String(message.id)))
    expect(await lastOf(session)).toSatisfy((last: object) => 'result' in last || 'error' in last)
  })
  await fc.assert(property, { seed: SEED, numRuns: BUDGET_MS })
  behind.upstream.instead = () => undefined
  expect(await session.result('run')).toBe('fine')
})
