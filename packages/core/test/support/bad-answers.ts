import { gzipSync } from 'node:zlib'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import type { CommonOptions, Durable } from '../../src/index.js'
import { durable } from '../../src/index.js'
import type { Nodes } from './nodes.js'
import { CRLF, head, RawUpstream, resultFor, SSE } from './raw-upstream.js'
import type { RawRequest } from './raw-upstream.js'
import { openStorage } from './stores.js'

// Whatever an upstream may answer, byte by byte.

export const LIMIT = 100_000
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const BOMB = gzipSync('0'.repeat(50_000_000))
export const isRun = ({ message }: RawRequest) => message.method === 'tools/call'

/** A node before a raw upstream, and one session. */
export class Behind implements AsyncDisposable {
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

export const body = (text: string | Buffer, headers: Record<string, string> = {}) =>
  Buffer.concat([
    Buffer.from(head('200 OK', { 'content-type': 'application/json', ...headers })),
    Buffer.from(text),
  ])
export const event = (data: string) => SSE + `data: ${data}\n\n`

/** What can't be used, whatever was asked; and what the client is told of it. */
export const UNUSABLE: [name: string, answer: (id: unknown) => string | Buffer, told: RegExp][] = [
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

/** What has no end: it is written until the node has had enough. */
export const ENDLESS: [name: string, begin: string, more: string, told: RegExp][] = [
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

/** Bytes that look like an answer, more or less; `ID` stands for the id of the request. */
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
export const likely = fc
  .tuple(
    fc.constantFrom('', 'HTTP/1.1 200 OK\r\n'),
    fc.constantFrom('', 'content-type: text/event-stream\r\n\r\n', 'content-type: application/json\r\n\r\n'),
    fc.array(pieces, { maxLength: 12 }),
  )
  .map(([line, type, rest]) => line + type + rest.join(''))
