import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gzipSync } from 'node:zlib'
import type { Socket } from 'node:net'
import type { CommonOptions, Durable } from '../../src/index.js'
import { durable } from '../../src/index.js'
import type { Nodes } from '../support/nodes.js'
import { byHand, CRLF, head, jsonAnswer, RawUpstream, resultFor, SSE } from '../support/raw-upstream.js'
import type { RawRequest } from '../support/raw-upstream.js'
import { expectJson, initialize, Session, textOf } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import { openStorage } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

// Whatever an upstream answers, byte by byte, is an answer to one request: an error that says what came, a line on the
// log, and everything else goes on. An exception that nobody caught would fail the run of these tests.

const LIMIT = 100_000
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const BOMB = gzipSync('0'.repeat(50_000_000))
const isRun = ({ message }: RawRequest) => message.method === 'tools/call'

/** A node before a raw upstream, and one session. */
class Behind implements AsyncDisposable {
  private constructor(
    readonly upstream: RawUpstream,
    readonly mcps: readonly Durable[],
    readonly nodes: Nodes,
    readonly warnings: string[],
    readonly storage: ReturnType<typeof openStorage>,
  ) {}

  static async start(settings: Partial<CommonOptions> = {}, count = 1) {
    const upstream = await RawUpstream.start()
    const storage = openStorage('memory')
    const warnings: string[] = []
    const note = (fields: object, message: string) =>
      void warnings.push(`${message}: ${String((fields as { error?: Error }).error?.message)}`)
    const quiet = () => undefined
    const logger = { error: note, warn: note, info: quiet, debug: quiet }
    const quick = { heartbeatMs: 50, sweepMs: 50, leaseMs: 2000, upstreamGraceMs: 500, maxAnswerBytes: LIMIT }
    const mcps = Array.from({ length: count }, () =>
      durable({ store: storage.forNode(), upstream: upstream.url, logger, ...quick, ...settings }),
    )
    const endpoint = (node: number) => ({
      fetch: (init?: RequestInit) => mcps[node]!.fetch(new Request('http://127.0.0.1/mcp', init)),
    })
    return new Behind(upstream, mcps, { endpoint } as unknown as Nodes, warnings, storage)
  }

  /** The upstream answers calls with this. */
  answerCalls(answer: (request: RawRequest, socket: Socket) => string | Buffer | undefined) {
    this.upstream.instead = (request, socket) => (isRun(request) ? answer(request, socket) : undefined)
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.mcps.map((mcp) => mcp.close({ graceMs: 0 })))
    await this.upstream[Symbol.asyncDispose]()
    await this.storage[Symbol.asyncDispose]()
  }
}

const body = (text: string | Buffer, headers: Record<string, string> = {}) =>
  Buffer.concat([
    Buffer.from(head('200 OK', { 'content-type': 'application/json', ...headers })),
    Buffer.from(text),
  ])
const event = (data: string) => SSE + `data: ${data}\n\n`

/** What can't be used, whatever was asked; and what the client is told of it. */
const UNUSABLE: [name: string, answer: (id: unknown) => string | Buffer, told: RegExp][] = [
  ...['999 Odd', '600 Odd', '000 Odd']
    .map(
      (status) =>
        [
          `status ${status}`,
          () => head(status, { 'content-length': '0' }),
          /status \d+, which HTTP does not have/,
        ] as const,
    )
    .map((row): [string, (id: unknown) => string, RegExp] => [...row]),
  ['status 1234', () => head('1234 Odd'), /not HTTP/],
  ['status 99', () => head('99 Odd'), /not HTTP/],
  ['another protocol', () => head('101 Switch', { connection: 'upgrade', upgrade: 'x' }), /another protocol/],
  ['no HTTP', () => `nonsense${CRLF}${CRLF}`, /not HTTP/],
  ['a header with a control character', () => head('200 OK', { 'x-a': 'b\u0001c' }), /not HTTP/],
  ['a header name with a space', () => head('200 OK', { 'x a': 'b' }), /not HTTP/],
  ['a header on two lines', () => head('200 OK', { 'x-a': `b${CRLF} c` }), /not HTTP/],
  [
    'two lengths',
    () => `HTTP/1.1 200 OK${CRLF}content-length: 1${CRLF}content-length: 2${CRLF}${CRLF}ab`,
    /not HTTP/,
  ],
  [
    'a flood of headers before the body',
    () => `HTTP/1.1 200 OK${CRLF}` + `x-a: b${CRLF}`.repeat(20_000) + CRLF,
    /not HTTP/,
  ],
  ['compressed', () => body(gzipSync('{}'), { 'content-encoding': 'gzip' }), /compressed its answer/],
  ['a bomb of gzip', () => body(BOMB, { 'content-encoding': 'gzip' }), /compressed its answer/],
  ['no content', () => head('204 None'), /no JSON-RPC answer/],
  ['accepted, and no answer', () => head('202 OK', { 'content-length': '0' }), /no JSON-RPC answer/],
  ['HTML', () => body('<html>', { 'content-type': 'text/html' }), /no JSON-RPC answer/],
  [
    'elsewhere',
    () => head('302 Found', { location: 'http://127.0.0.1:1/', 'content-length': '0' }),
    /elsewhere/,
  ],
  ['JSON that is none', () => body('{"jsonrpc":'), /not JSON/],
  ['an empty body', () => body(''), /not JSON/],
  ['bytes that are no UTF-8', () => body(Buffer.from([0xff, 0xfe, 0x00])), /not JSON/],
  ['null', () => body('null'), /no answer to the request/],
  ['a number', () => body('1'), /no answer to the request/],
  ['nothing in a batch', () => body('[]'), /no answer to the request/],
  [
    'the answer to something else',
    () => body(JSON.stringify(resultFor('other'))),
    /no answer to the request/,
  ],
  ['a result of no JSON-RPC', (id) => body(JSON.stringify({ id, result: {} })), /no message of JSON-RPC/],
  [
    'a result that is no object',
    (id) => body(JSON.stringify({ jsonrpc: '2.0', id, result: 1 })),
    /no message of/,
  ],
  [
    'neither result nor error',
    (id) => body(JSON.stringify({ jsonrpc: '2.0', id })),
    /no message of JSON-RPC/,
  ],
  [
    'an error without a message',
    (id) => body(JSON.stringify({ jsonrpc: '2.0', id, error: {} })),
    /no message of/,
  ],
  [
    '100,000 levels',
    (id) => body(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"a":${deep(100_000 / 2 - 100)}}}`),
    /nested deeper/,
  ],
  [
    'a body that is too large',
    (id) => body(JSON.stringify(resultFor(id as string, 'x'.repeat(LIMIT)))),
    /more than 100000 bytes/,
  ],
  ['an event that is no JSON', () => event('{'), /not JSON/],
  ['an event of many levels', () => event(deep(600)), /nested deeper/],
  [
    'an event that is too large',
    (id) => event(JSON.stringify(resultFor(id as string, 'x'.repeat(LIMIT)))),
    /more than 100000 bytes/,
  ],
  [
    'an event of many lines that is too large',
    () => SSE + `data: ${'x'.repeat(99)}\n`.repeat(2000) + '\n',
    /more than 100000 bytes/,
  ],
  [
    'an event that means to answer',
    (id) => event(JSON.stringify({ id, result: {} })),
    /no message of JSON-RPC/,
  ],
]

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

/** What has no end: it is written until the node has had enough. */
const ENDLESS: [name: string, begin: string, more: string, told: RegExp][] = [
  [
    'a JSON body',
    head('200 OK', { 'content-type': 'application/json' }),
    '"x",'.repeat(1000),
    /more than 100000 bytes/,
  ],
  ['a line of an event', `${SSE}data: `, 'x'.repeat(4000), /more than 100000 bytes/],
  ['an event of endless lines', SSE, 'data: x\n'.repeat(500), /more than 100000 bytes/],
  ['headers', `HTTP/1.1 200 OK${CRLF}`, `x-a: b${CRLF}`.repeat(500), /not HTTP/],
  ['a refusal', head('500 No', { 'content-type': 'text/plain' }), 'no '.repeat(1000), /answered 500: no no/],
]

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
  const pieces = fc.oneof(
    fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 999 X\r\n',
      'HTTP/1.1 100 C\r\n\r\n',
      'HTTP/1.1 204 N\r\n',
      'HTTP/1.0 200\r\n',
      'HTTP/1.1 307 T\r\nlocation: /mcp\r\n',
      'content-type: text/event-stream\r\n',
      'content-type: application/json\r\n',
      'content-length: 5\r\n',
      'content-length: -1\r\n',
      'transfer-encoding: chunked\r\n',
      'mcp-session-id: \r\n',
      'retry-after: \u0001\r\n',
      'www-authenticate: ü\r\n',
      '\r\n',
      '5\r\nhello\r\n',
      '0\r\n\r\n',
      'ffffffffffff\r\n',
      'data: ',
      'id: ü\n',
      'id: \u0000\n',
      'retry: 99999999999999999999\n',
      'retry: 0\n',
      'event: message\n',
      '\n\n',
      '\ufeff',
      '{}',
      '[',
      '"',
      '{"jsonrpc":"2.0","id":"ID","result":{}}',
      '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}',
      '{"jsonrpc":"2.0","id":1,"method":"roots/list"}',
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"ID"}}',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )
  const likely = fc
    .tuple(
      fc.constantFrom('', 'HTTP/1.1 200 OK\r\n'),
      fc.constantFrom(
        '',
        'content-type: text/event-stream\r\n\r\n',
        'content-type: application/json\r\n\r\n',
      ),
      fc.array(pieces, { maxLength: 12 }),
    )
    .map(([line, type, rest]) => line + type + rest.join(''))
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
