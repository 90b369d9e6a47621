import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { expectRefused, headersOf, Session, textOf } from '../support/session.js'

// Who a caller is, before an upstream or a handler that checks tokens itself.

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const HOUR = Math.floor(Date.now() / 1000) + 3600

/** A JWT; with another secret it is a forgery. */
function token(claims: object, secret = 'the secret') {
  const signed = `${base64url({ alg: 'HS256' })}.${base64url({ exp: HOUR, ...claims })}`
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const isGenuine = (authorization: string | null) => {
  const [, signed = '', signature] = /^Bearer (.+)\.(.+)$/.exec(authorization ?? '') ?? []
  return createHmac('sha256', 'the secret').update(signed).digest('base64url') === signature
}

const ANN = { iss: 'https://issuer', sub: 'ann' }
const CHALLENGE = { 'www-authenticate': 'Bearer error="invalid_token"' }

/** Nodes before an upstream that checks every token, unless told otherwise. */
async function start(settings: NodesOptions['settings'] = {}, checks = true): Promise<Nodes> {
  const nodes = await startNodes({ host: 'upstream', settings })
  if (checks)
    nodes.upstream!.instead = ({ headers }) =>
      isGenuine(headers.get('authorization'))
        ? undefined
        : new Response('', { status: 401, headers: CHALLENGE })
  return nodes
}

/** `Session` names its callers otherwise. */
const as = (authorization: string | undefined) => ({ headers: { authorization } })

async function begin(nodes: Nodes, authorization: string | undefined) {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  }
  const response = await nodes.endpoint(0).fetch({
    method: 'POST',
    headers: headersOf({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization,
    }),
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  })
  expect(response.status).toBe(200)
  const mcpSessionId = response.headers.get('mcp-session-id') ?? ''
  return new Session(nodes, { mcpSessionId, version: '2025-11-25', who: undefined })
}

/** Everything that a request can do to a session, and a call of it to come back to. */
async function waysIn(session: Session, authorization: string) {
  const call = await session.call('echo', { text: 'secret' }, as(authorization))
  const priming = await call.next()
  expect((await call.messages()).map(textOf)).toEqual(['secret'])
  return [
    (where: object) => session.get(priming?.id, where),
    (where: object) => session.get(undefined, where),
    (where: object) => session.request('tools/call', { name: 'echo', arguments: { text: '' } }, where),
    (where: object) => session.request('ping', {}, where),
    (where: object) =>
      session.post({ jsonrpc: '2.0', id: `${priming?.id?.slice(0, 22)}.1`, result: {} }, where),
    (where: object) =>
      session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }, where),
    (where: object) => session.delete(where),
  ]
}

const STRANGERS: [who: string, authorization: string | undefined][] = [
  ['nobody', undefined],
  ['another person', token({ ...ANN, sub: 'ben' })],
  ['the same name elsewhere', token({ ...ANN, iss: 'https://other' })],
  ['the same name, from nowhere', token({ sub: 'ann' })],
  ['another scheme', 'Basic YW5uOmFubg=='],
]

describe.each(STRANGERS)('[I-11] with the id of a session, %s', (_who, stranger) => {
  test('finds no such session, whatever is tried', async () => {
    await using nodes = await start()
    const session = await begin(nodes, token(ANN))
    for (const tryIt of await waysIn(session, token(ANN)))
      for (const node of [0, 1]) await expectRefused(await tryIt({ ...as(stranger), node }), 404, -32001)
  })
})

test('[I-11] a forged token of the same person gets what the upstream says, and nothing of the journal', async () => {
  await using nodes = await start()
  const session = await begin(nodes, token(ANN))
  const forged = [token(ANN, 'another secret'), token({ ...ANN, jti: 2 }, '')]
  for (const tryIt of await waysIn(session, token(ANN)))
    for (const authorization of forged) {
      const response = await tryIt({ ...as(authorization), node: 1 })
      expect(response.headers.get('www-authenticate')).toBe(CHALLENGE['www-authenticate'])
      expect(JSON.stringify(await expectRefused(response, 401))).not.toContain('secret')
    }
  expect(await session.result('echo', { text: 'still here' }, as(token(ANN)))).toBe('still here')
})

test('[I-11] a forged token of the same person goes nowhere in the name of the session', async () => {
  await using nodes = await start()
  const session = await begin(nodes, token(ANN))
  await using call = await session.call('ask', { question: 'roots', related: true }, as(token(ANN)))
  const asked = await call.nextMessage()
  const forged = token(ANN, 'another secret')
  await expectRefused(await session.get(undefined, as(forged)), 401)
  const sent = () => nodes.upstream!.requests.filter(({ headers }) => headers.get('authorization') === forged)
  const before = sent().length
  // The node that runs the call sees nothing of the client's token.
  await session.answer((asked.message as { id: string }).id, { roots: [] }, { ...as(token(ANN)), node: 1 })
  expect((await call.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  expect(sent()).toHaveLength(before)
})

test('[I-11] a token without a signature names nobody', async () => {
  await using nodes = await start()
  const session = await begin(nodes, token(ANN))
  const unsigned = `Bearer ${base64url({ alg: 'none' })}.${base64url(ANN)}.`
  for (const tryIt of await waysIn(session, token(ANN))) await expectRefused(await tryIt(as(unsigned)), 404)
})

test('[I-11] a new token of the same person keeps the session, on every node; the upstream is asked once', async () => {
  await using nodes = await start()
  const session = await begin(nodes, token(ANN))
  const [resume] = await waysIn(session, token(ANN))
  const next = token({ ...ANN, jti: 'next' })
  const asked = () => nodes.upstream!.requests.filter(({ body }) => body.includes('"initialize"')).length
  expect(asked()).toBe(1)
  for (const node of [0, 1, 0, 1]) {
    const response = await resume!({ ...as(next), node })
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('secret')
    expect(await session.result('echo', { text: 'on' }, { ...as(next), node })).toBe('on')
  }
  // Once with the token, once with its signature altered.
  expect(asked()).toBe(3)
  expect(nodes.wrapped[0]?.sessions.size).toBe(1)
})

test('[I-11] a token that the upstream has let in counts while the upstream is away; a new one has to wait', async () => {
  await using nodes = await start()
  const session = await begin(nodes, token(ANN))
  const [resume] = await waysIn(session, token(ANN))
  await nodes.upstream!.cut()
  expect(await (await resume!({ ...as(token(ANN)), node: 1 })).text()).toContain('secret')
  await expectRefused(await resume!({ ...as(token({ ...ANN, jti: 2 })), node: 1 }), 502)
  await nodes.upstream!.listen()
  expect((await resume!({ ...as(token({ ...ANN, jti: 2 })), node: 1 })).status).toBe(200)
})

test('[I-11] an upstream that checks no signatures can’t vouch for anybody: its callers are bound to their token', async () => {
  await using nodes = await start({}, false)
  const session = await begin(nodes, token(ANN))
  for (const tryIt of (await waysIn(session, token(ANN))).slice(0, -1)) {
    for (const forged of [token(ANN, 'forged'), token({ ...ANN, jti: 2 })])
      await expectRefused(await tryIt({ ...as(forged), node: 1 }), 404)
  }
  expect(await session.result('echo', { text: 'mine' }, as(token(ANN)))).toBe('mine')
  expect(nodes.logs).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('does not check signatures') }),
  )
})

test('[I-11] where the token is not passed on, its subject is not believed', async () => {
  await using nodes = await start({ passHeaders: [] }, false)
  const session = await begin(nodes, token(ANN))
  expect((await session.request('ping', {}, as(token(ANN)))).status).toBe(200)
  await expectRefused(await session.request('ping', {}, as(token({ ...ANN, jti: 2 }))), 404)
})

test('[I-11] what is no JWT is bound as a whole', async () => {
  await using nodes = await start({}, false)
  for (const own of [
    'Basic YW5uOmFubg==',
    'Bearer opaque-token',
    'Bearer a.b.c',
    `Bearer ${base64url({})}.e30.x`,
  ]) {
    const session = await begin(nodes, own)
    expect((await session.request('ping', {}, { ...as(own), node: 1 })).status).toBe(200)
    for (const other of [undefined, `${own}x`, 'Bearer other'])
      await expectRefused(await session.request('ping', {}, { ...as(other), node: 1 }), 404)
  }
})

test('[I-11] an application that says who its callers are is believed', async () => {
  await using nodes = await start({ principal: () => 'everybody' })
  const session = await begin(nodes, token(ANN))
  const [resume] = await waysIn(session, token(ANN))
  expect(await (await resume!(as('Basic any'))).text()).toContain('secret')
})

test('[I-11] a wrapped handler is asked as an upstream is', async () => {
  await using nodes = await startNodes({ host: 'handler' })
  const session = await begin(nodes, token(ANN))
  expect(await session.result('echo', { text: 'a' }, { ...as(token(ANN)), node: 1 })).toBe('a')
  // The fixture checks no tokens.
  await expectRefused(await session.request('ping', {}, as(token({ ...ANN, jti: 2 }))), 404)
  await expectRefused(await session.request('ping', {}, as(undefined)), 404)
})
