import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { expectJson, initialize, Session, textOf } from '../support/session.js'
import { Upstream } from '../support/wrapped.js'

const challenge = 'Bearer resource_metadata="https://auth.example/.well-known/oauth-protected-resource"'
const REFUSALS: [status: number, headers: Record<string, string>][] = [
  [401, { 'www-authenticate': challenge }],
  [403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }],
  [429, { 'retry-after': '7' }],
  [500, {}],
  [503, { 'retry-after': '3' }],
]

describe.each(REFUSALS)('[I-8] an upstream that answers %i', (status, headers) => {
  test('is heard: its status, its headers for the client, and what it says', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    nodes.upstream!.instead = () => new Response('not now', { status, headers: { ...headers, 'x-own': '1' } })
    for (const response of [await initialize(nodes), await session.request('tools/list')]) {
      for (const [name, value] of Object.entries(headers)) expect(response.headers.get(name)).toBe(value)
      expect(response.headers.has('x-own')).toBe(false)
      const { error } = await expectJson<{ error: object }>(response, status)
      expect(error).toEqual({ code: -32000, message: `The server answered ${status}: not now` })
    }
    // The stream of a call is open before the upstream is asked.
    const [told, ...more] = await (await session.call('echo', { text: '' })).messages()
    expect(told).toMatchObject({ error: { message: expect.stringContaining(String(status)) } })
    expect(more).toEqual([])
    nodes.upstream!.instead = () => undefined
    expect(await session.result('echo', { text: 'again' })).toBe('again')
  })

  test('with an error of JSON-RPC: that error', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    const error = { code: -32042, message: 'Come back later', data: { why: 'busy' } }
    nodes.upstream!.instead = () => Response.json({ jsonrpc: '2.0', id: null, error }, { status })
    expect(await expectJson(await session.request('ping', {}, { id: 'p' }), status)).toMatchObject({
      id: 'p',
      error,
    })
  })
})

test('404 to a session that it has not lost is no 404 of ours: the client would take its session for gone', async () => {
  await using nodes = await startNodes({ host: 'upstream' })
  const session = await Session.begin(nodes)
  nodes.upstream!.instead = (_request, body) =>
    body.includes('"tools/list"') ? new Response('no such page', { status: 404 }) : undefined
  const refused = await expectJson(await session.request('tools/list'), 502)
  expect(refused).toMatchObject({ error: { message: 'The server answered 404: no such page' } })
  nodes.upstream!.instead = () => undefined
  expect(await session.result('echo', { text: 'on' })).toBe('on')
})

test.each([429, 503])('an answer that an upstream refuses with %i is given again', async (status) => {
  await using nodes = await startNodes({ host: 'upstream' })
  const session = await Session.begin(nodes)
  await using call = await session.call('ask', { question: 'roots', related: true })
  const asked = await call.nextMessage()
  let refused = 0
  nodes.upstream!.instead = (_request, body) =>
    body.includes('"roots"') && refused++ < 2 ? new Response('', { status }) : undefined
  await session.answer((asked.message as { id: string }).id, { roots: [] })
  expect((await call.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  expect(refused).toBe(3)
})

describe('[I-8] an upstream that sends its clients elsewhere', () => {
  test.each([307, 308])('on the same origin, with %i: they go there, with all they had', async (status) => {
    await using nodes = await startNodes({ host: 'upstream' })
    const { upstream } = nodes
    const path = (request: Request) => new URL(request.url).pathname
    upstream!.instead = (request) =>
      path(request) === '/mcp' ? new Response('', { status, headers: { location: '/mcp/' } }) : undefined
    const session = await Session.begin(nodes, { who: 'alice/secret' })
    expect(await session.result('echo', { text: 'there' })).toBe('there')
    const [sent, again] = upstream!.requests.slice(-2)
    expect([sent, again].map((request) => new URL(request!.url).pathname)).toEqual(['/mcp', '/mcp/'])
    expect(again?.headers.get('authorization')).toBe('Bearer alice/secret')
    expect(again?.body).toBe(sent?.body)
  })

  test('on another origin: nothing is sent there', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    await using other = await Upstream.start(() => new Response())
    const session = await Session.begin(nodes, { who: 'alice/secret' })
    for (const status of [301, 302, 307, 308]) {
      nodes.upstream!.instead = () => new Response('', { status, headers: { location: other.url } })
      const refused = await expectJson(await session.request('tools/list'), 502)
      expect(refused).toMatchObject({ error: { message: expect.stringMatching(/elsewhere/) } })
    }
    expect(other.requests).toEqual([])
  })

  test('in a circle: no more than a few times', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    nodes.upstream!.instead = () => new Response('', { status: 307, headers: { location: '/mcp' } })
    await expectJson(await session.request('tools/list'), 502)
    const sent = nodes.upstream!.requests.filter(({ body }) => body.includes('"tools/list"'))
    expect(sent).toHaveLength(4)
  })
})

test.each([
  { passHeaders: ['Authorization'], passed: 'Bearer alice/secret' },
  { passHeaders: [], passed: null },
  { passHeaders: undefined, passed: null },
])(
  '[I-8] an upstream gets the authorization only if told so: $passHeaders',
  async ({ passHeaders, passed }) => {
    await using nodes = await startNodes({ host: 'upstream', settings: { passHeaders } })
    const session = await Session.begin(nodes, { who: 'alice/secret' })
    await session.result('echo', { text: '' }, { node: 1 })
    await using stream = await session.stream()
    await stream.next()
    await session.delete()
    for (const { headers } of nodes.upstream!.requests) expect(headers.get('authorization')).toBe(passed)
  },
)
