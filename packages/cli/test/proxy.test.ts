import { createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { spawnNode, waitFor } from '../../../test-support/index.js'
import { cli, startCli } from './support/cli.js'

const redis = process.env['REDIS_URL'] ?? ''
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

function post(url: string, body: object, sessionId?: string, more: Record<string, string> = {}) {
  const headers = { ...HEADERS, ...more, ...(sessionId !== undefined && { 'mcp-session-id': sessionId }) }
  return fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...body }) })
}

test('two proxies before one server: a session of either is a session of both, and outlives one', async () => {
  await using server = await spawnNode('examples/dist/existing.js', ['--port', '0'])
  const prefix = `test-${randomUUID()}`
  const flags = ['--upstream', `${server.url}/mcp`, '--port', '0', '--prefix', prefix]
  await using first = await startCli(redis, 'proxy', ...flags)
  const [, a = ''] = await first.waitForLine(/listening on (http:\/\/\S+),/, 20_000)
  await using second = await startCli(redis, 'proxy', ...flags)
  const [, b = ''] = await second.waitForLine(/listening on (http:\/\/\S+),/, 20_000)

  const healthy = await waitFor(async () => {
    const response = await fetch(new URL('/healthz', a))
    return response.ok && response
  })
  expect(await healthy.json()).toMatchObject({ ready: true, store: { reachable: true } })
  expect((await fetch(new URL('/livez', a))).status).toBe(200)

  const clientInfo = { name: 'test', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const begun = await post(a, { id: 1, method: 'initialize', params })
  expect(await begun.json()).toMatchObject({ result: { serverInfo: { name: 'everything' } } })
  const sessionId = begun.headers.get('mcp-session-id') ?? ''
  expect((await post(b, { method: 'notifications/initialized' }, sessionId)).status).toBe(202)
  expect(await first.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  const call = await post(
    b,
    { id: 2, method: 'tools/call', params: { name: 'which_node', arguments: {} } },
    sessionId,
  )
  expect(await call.text()).toContain(`pid ${server.pid}`)
  expect(await second.kill('SIGTERM')).toEqual({ code: 0, signal: null })

  await removeKeys(prefix)
})

async function removeKeys(prefix: string) {
  const client = new Redis(redis)
  const keys = await client.keys(`${prefix}*`)
  if (keys.length > 0) await client.unlink(...keys)
  client.disconnect()
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const signatureOf = (text: string) => createHmac('sha256', 'secret').update(text).digest('base64url')
/** A JWT, as a server that checks them would have given it. */
function token(claims: object) {
  const signed = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `Bearer ${signed}.${signatureOf(signed)}`
}

/** A server without any state, that may check tokens. */
async function startServer(checksTokens: boolean) {
  const server = createServer((request, response) => {
    const [, signed = '', signature] = /^Bearer (.+)\.(.+)$/.exec(request.headers.authorization ?? '') ?? []
    if (checksTokens && signatureOf(signed) !== signature) return response.writeHead(401).end()
    return void json(request).then((body) => {
      const { id } = body as { id?: number }
      const result = {
        protocolVersion: '2025-11-25',
        capabilities: {},
        serverInfo: { name: 's', version: '1' },
      }
      if (id === undefined) return response.writeHead(202).end()
      const headers = { 'content-type': 'application/json' }
      return response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, [Symbol.asyncDispose]: async () => void server.close() }
}

const ANN = token({ iss: 'i', sub: 'ann', jti: 1 })
const FORGED = ANN.replace(/[\w-]+$/, signatureOf('forged'))
const KEYS = { 'x-user': 'ann', authorization: ANN }
type Headers = Record<string, string>
const CALLERS: [flags: string[], own: Headers, others: [Headers, status: number][]][] = [
  [
    ['--pass-headers', 'authorization'],
    { authorization: ANN },
    [
      [{ authorization: token({ iss: 'i', sub: 'ann', jti: 2 }) }, 200],
      [{ authorization: token({ iss: 'i', sub: 'ben' }) }, 404],
      [{ authorization: FORGED }, 401],
      [{}, 404],
    ],
  ],
  [
    [],
    { authorization: ANN },
    [
      [{ authorization: ANN }, 200],
      [{ authorization: token({ iss: 'i', sub: 'ann', jti: 2 }) }, 404],
      [{}, 404],
    ],
  ],
  [
    ['--principal', 'header:X-User'],
    KEYS,
    [
      [{ 'x-user': 'ann' }, 200],
      [{ 'x-user': 'ben', authorization: ANN }, 404],
      [{ authorization: ANN }, 404],
    ],
  ],
  [['--principal', 'none'], KEYS, [[{}, 200]]],
]

test.each(CALLERS)('whose a session is, with %j', async (flags, own, others) => {
  await using server = await startServer(flags.includes('--pass-headers'))
  const prefix = `test-${randomUUID()}`
  await using proxy = await startCli(
    redis,
    'proxy',
    '--upstream',
    server.url,
    '--port',
    '0',
    '--prefix',
    prefix,
    ...flags,
  )
  const [, url = ''] = await proxy.waitForLine(/listening on (http:\/\/\S+),/, 20_000)
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  }
  const begun = await post(url, { id: 1, method: 'initialize', params }, undefined, own)
  const sessionId = begun.headers.get('mcp-session-id') ?? ''
  const call = { id: 2, method: 'tools/call', params: { name: 'any' } }
  const resumed = await (await post(url, call, sessionId, own)).text()
  const [, event = ''] = /^id: (.*)$/m.exec(resumed) ?? []
  for (const [headers, status] of others) {
    const answer = await post(url, { id: 3, method: 'ping' }, sessionId, headers)
    expect(answer.status, JSON.stringify(headers)).toBe(status)
    await answer.body?.cancel()
    const stream = {
      accept: 'text/event-stream',
      'mcp-session-id': sessionId,
      'last-event-id': event,
      ...headers,
    }
    const replay = await fetch(url, { headers: stream })
    expect(replay.status, JSON.stringify(headers)).toBe(status)
    expect((await replay.text()).includes('"result"')).toBe(status === 200)
  }
  await removeKeys(prefix)
})

test('what is wrong is said', async () => {
  expect(await cli(redis, 'proxy')).toMatchObject({ code: 2, stderr: expect.stringContaining('--upstream') })
  const wrong = await cli(redis, 'proxy', '--upstream', 'localhost:4000')
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('must be a URL') })
  const upstream = ['--upstream', 'http://127.0.0.1:2/mcp']
  const unknown = await cli(redis, 'proxy', ...upstream, '--principal', 'me')
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('subject, header:NAME or none') })
  const unchecked = await cli(redis, 'proxy', ...upstream, '--principal', 'subject')
  expect(unchecked).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--pass-headers authorization'),
  })
  const nobody = await cli('redis://127.0.0.1:1', 'proxy', '--upstream', 'http://127.0.0.1:2/mcp')
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('no Redis answers') })
})
