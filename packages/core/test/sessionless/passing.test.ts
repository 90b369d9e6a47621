import { createHmac } from 'node:crypto'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { durable } from '../../src/index.js'
import type { FetchHandler } from '../../src/index.js'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { capture } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { QUICK, startPassing } from '../support/passing.js'
import { expectJson, textOf } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import { serverV2 } from '../support/server-v2.js'
import { World } from '../support/world.js'
import { MapOfTransports, Upstream } from '../support/wrapped.js'

// A server behind HTTP that needs no session: what comes to it is what the client has sent.

describe('what the server behind is sent', () => {
  test('is the request, with the headers that repeat it', async () => {
    await using nodes = await startPassing()
    const client = new Alone(nodes)
    const headers = { 'mcp-param-region': '=?base64?w7w=?=', 'x-own': '1' }
    await using stream = await client.call('echo', { text: 'x' }, { headers, who: 'ann/1' })
    await stream.messages()
    const sent = nodes.upstream!.requests.find(({ body }) => body.includes('"tools/call"'))!
    expect(Object.fromEntries(sent.headers)).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
      'mcp-param-region': '=?base64?w7w=?=',
      authorization: 'Bearer ann/1',
    })
    expect(sent.headers.has('x-own')).toBe(false)
    expect(sent.headers.has('mcp-session-id')).toBe(false)
    expect(JSON.parse(sent.body)).toMatchObject({
      method: 'tools/call',
      params: { name: 'echo', arguments: { text: 'x' }, _meta: { [META.clientInfo]: { name: 'raw' } } },
    })
    expect(nodes.upstream!.requests.map(({ body }) => body).join()).not.toContain('"initialize"')
    const methods = nodes.upstream!.requests.map(({ headers: all }) => all.get('mcp-method'))
    expect(methods.filter((method) => method === 'server/discover')).toHaveLength(1)
  })

  test('comes again from another node with the same headers', async () => {
    await using nodes = await startPassing({ settings: { keepToken: true } })
    const client = new Alone(nodes)
    const headers = { 'mcp-param-region': 'north' }
    await using stream = await client.call('look', { gate: 'g' }, { headers, who: 'ann/1' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await using resumed = await client.stream(priming?.id, { node: 1, who: 'ann/1' })
    expect(textOf((await resumed.messages()).at(-1))).toBe('g on upstream')
    const calls = nodes.upstream!.requests.filter(({ body }) => body.includes('"tools/call"'))
    expect(calls.map(({ headers: all }) => [all.get('mcp-param-region'), all.get('authorization')])).toEqual([
      ['north', 'Bearer ann/1'],
      ['north', 'Bearer 1'],
    ])
  })
})

const REFUSALS: [status: number, headers: Record<string, string>][] = [
  [401, { 'www-authenticate': 'Bearer resource_metadata="https://auth.example"' }],
  [403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }],
  [429, { 'retry-after': '7' }],
  [500, {}],
  [503, { 'retry-after': '3' }],
]

describe.each(REFUSALS)('an upstream that answers %i', (status, headers) => {
  test.each(['only', undefined] as const)('is heard, also by a call; sessions: %s', async (alone) => {
    await using nodes = await startPassing({ alone })
    const client = new Alone(nodes)
    await (await client.request('server/discover')).text()
    nodes.upstream!.instead = () => new Response('not now', { status, headers: { ...headers, 'x-own': '1' } })
    const calls = { name: 'echo', arguments: { text: '' } }
    for (const response of [
      await client.request('server/discover'),
      await client.request('tools/list'),
      await client.request('tools/call', calls),
    ]) {
      for (const [header, value] of Object.entries(headers)) expect(response.headers.get(header)).toBe(value)
      expect(response.headers.has('x-own')).toBe(false)
      expect(await expectJson(response, status)).toMatchObject({
        error: { code: -32000, message: `The server answered ${status}: not now` },
      })
    }
    nodes.upstream!.instead = () => undefined
    await using stream = await client.call('echo', { text: 'again' })
    expect(textOf((await stream.messages()).at(-1))).toBe('again')
  })
})

test('an upstream that is not there: nothing was done, and that is said', async () => {
  await using nodes = await startPassing()
  const client = new Alone(nodes)
  await nodes.upstream!.cut()
  for (const method of ['server/discover', 'tools/list', 'subscriptions/listen', 'tools/call']) {
    const params = { name: 'echo', notifications: {}, arguments: { text: '' } }
    const response = await client.request(method, params)
    expect(await expectJson(response, 502), method).toMatchObject({
      error: { message: expect.stringContaining('cannot be reached') as string },
    })
  }
  await nodes.upstream!.listen()
  await using stream = await client.call('echo', { text: 'back' })
  expect(textOf((await stream.messages()).at(-1))).toBe('back')
})

test('what the server behind refuses for its headers keeps its status', async () => {
  await using nodes = await startPassing()
  const error = { code: -32020, message: 'Header mismatch: Mcp-Param-Region' }
  nodes.upstream!.instead = (_request, body) =>
    body.includes('"tools/call"')
      ? Response.json({ jsonrpc: '2.0', id: null, error }, { status: 400 })
      : undefined
  const response = await new Alone(nodes).request(
    'tools/call',
    { name: 'echo', arguments: { text: '' } },
    { id: 9 },
  )
  expect(await expectJson(response, 400)).toMatchObject({ id: 9, error })
})

test('a server that is replaced by one that speaks another version is asked again', async () => {
  const world = new World()
  const make = () => serverV2('behind', world)
  const withSessions = new MapOfTransports(make, { sdk: 'v2' })
  const without = createMcpHandler(make, { legacy: 'reject' })
  let current: FetchHandler = withSessions.fetch
  await using upstream = await Upstream.start((request, options) => current(request, options))
  const mcp = durable({ upstream: upstream.url, logger: capture([]), ...QUICK })
  const fetch = (init?: RequestInit) => mcp.fetch(new Request('http://127.0.0.1/mcp', init))
  const client = new Alone({ endpoint: () => ({ fetch }) } as unknown as Nodes)
  const echo = async (text: string) => {
    await using stream = await client.call('echo', { text })
    return textOf((await stream.messages()).at(-1))
  }
  expect(await echo('in a session')).toBe('in a session')
  current = (request) => without.fetch(request)
  expect(await echo('without')).toBe('without')
  current = withSessions.fetch
  // It has not run, and the next one will.
  expect((await client.request('tools/call', { name: 'echo', arguments: { text: '' } })).status).toBe(400)
  expect(await echo('in a session again')).toBe('in a session again')
  await mcp.close({ graceMs: 0 })
  await without.close()
})

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const EXP = Math.floor(Date.now() / 1000) + 3600

/** A JWT; with another secret it is a forgery. */
function token(claims: object, secret = 'the secret') {
  const signed = `${base64url({ alg: 'HS256' })}.${base64url({ iss: 'i', exp: EXP, ...claims })}`
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

function isGenuine(authorization: string | null) {
  const [, signed = '', signature] = /^Bearer (.+)\.(.+)$/.exec(authorization ?? '') ?? []
  return createHmac('sha256', 'the secret').update(signed).digest('base64url') === signature
}

describe.each(['only', undefined] as const)('callers that their tokens name; sessions: %s', (alone) => {
  const as = (authorization: string) => ({ headers: { authorization } })
  const begin = async (checks = true) => {
    const nodes = await startPassing({ alone })
    if (checks)
      nodes.upstream!.instead = ({ headers }) =>
        isGenuine(headers.get('authorization')) ? undefined : new Response('', { status: 401 })
    return nodes
  }

  test('a new token of the same person goes on with a call, a forged one does not', async () => {
    await using nodes = await begin()
    const client = new Alone(nodes)
    await using stream = await client.call('echo', { text: 'secret' }, as(token({ sub: 'ann' })))
    const priming = await stream.next()
    await stream.messages()
    await using next = await client.stream(priming?.id, { node: 1, ...as(token({ sub: 'ann', jti: 2 })) })
    expect(textOf((await next.messages()).at(-1))).toBe('secret')
    const forged = await client.get(priming?.id, { node: 1, ...as(token({ sub: 'ann' }, 'another')) })
    expect(await expectJson(forged, 401)).not.toMatchObject({ result: {} })
    const other = await client.get(priming?.id, { node: 1, ...as(token({ sub: 'ben' })) })
    await expectJson(other, 404)
  })

  test('a forged token does not join a call by its key', async () => {
    await using nodes = await begin()
    const client = new Alone(nodes)
    const by = (authorization: string) => ({ headers: { authorization, 'idempotency-key': '1' } })
    await using stream = await client.call('echo', { text: 'secret' }, by(token({ sub: 'ann' })))
    await stream.messages()
    const call = { name: 'echo', arguments: { text: 'secret' } }
    // The other node knows what the server speaks, and need not ask.
    await (await client.request('server/discover', {}, { node: 1, ...by(token({ sub: 'ben' })) })).text()
    const forged = await client.request('tools/call', call, { node: 1, ...by(token({ sub: 'ann' }, 'x')) })
    expect(await expectJson(forged, 401)).toMatchObject({ error: {} })
  })

  test('of a server that lets anybody in, each token is somebody else', async () => {
    await using nodes = await begin(false)
    const client = new Alone(nodes)
    await using stream = await client.call('echo', { text: 'secret' }, as(token({ sub: 'ann' })))
    const priming = await stream.next()
    await stream.messages()
    await using same = await client.stream(priming?.id, { node: 1, ...as(token({ sub: 'ann' })) })
    expect(textOf((await same.messages()).at(-1))).toBe('secret')
    await expectJson(await client.get(priming?.id, as(token({ sub: 'ann' }, 'forged'))), 404)
  })
})

test('the journal of a call holds no token', async () => {
  await using nodes = await startPassing()
  await using stream = await new Alone(nodes).call('echo', { text: '' }, { who: 'ann/hidden' })
  await stream.messages()
  expect(JSON.stringify(await contentOf(nodes.stores[0]!))).not.toContain('hidden')
})
