import { createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { spawnNode, waitFor } from '../../../test-support/index.js'
import { cli, startCli, startCliIn } from './support/cli.js'

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
  const [, a = ''] = await first.waitForLine(/listening on (http:\/\/\S+),/)
  await using second = await startCli(redis, 'proxy', ...flags)
  const [, b = ''] = await second.waitForLine(/listening on (http:\/\/\S+),/)

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

test('without a Redis it keeps all in a file, and a session goes on after a SIGKILL', async () => {
  await using server = await spawnNode('examples/dist/existing.js', ['--port', '0'])
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-proxy-'))
  const start = async () => {
    const flags = ['proxy', '--upstream', `${server.url}/mcp`, '--port', '0']
    const proxy = await startCliIn(folder, '', ...flags)
    const listening = /listening on (http:\/\/\S+), .*; what it keeps is in .*mcp\.db$/
    const [, url = ''] = await proxy.waitForLine(listening)
    return { proxy, url }
  }
  const { proxy: first, url: before } = await start()
  await using killed = first
  const clientInfo = { name: 'test', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const begun = await post(before, { id: 1, method: 'initialize', params })
  await begun.text()
  const sessionId = begun.headers.get('mcp-session-id') ?? ''
  await killed.kill('SIGKILL')

  const { proxy: second, url: after } = await start()
  await using next = second
  const which = { name: 'which_node', arguments: {} }
  const call = await post(after, { id: 2, method: 'tools/call', params: which }, sessionId)
  expect(await call.text()).toContain(`pid ${server.pid}`)
  expect(await next.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  await rm(folder, { recursive: true })
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
  const [, url = ''] = await proxy.waitForLine(/listening on (http:\/\/\S+),/)
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
  const strange = await cli(redis, 'proxy', ...upstream, 'more')
  expect(strange).toMatchObject({ code: 2, stderr: expect.stringContaining('one argument too many') })
  const nobody = await cli('redis://127.0.0.1:1', 'proxy', '--upstream', 'http://127.0.0.1:2/mcp')
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('no Redis answers') })
})

test.each([
  [['--stdio'], 2, 'needs a command'],
  [['--stdio', '--upstream', 'http://127.0.0.1:2/', '--', 'a'], 2, '--upstream is not for --stdio'],
  [['--stdio', '--principal', 'subject', '--', process.execPath], 2, 'nobody would check whose a token is'],
  [['--upstream', 'http://127.0.0.1:2/', '--idle', '1m'], 2, '--idle is for --stdio'],
  [['--stdio', '--eras', '2024', '--', process.execPath], 2, '--eras takes'],
  [['--stdio', '--', 'no-such-program'], 1, "no program 'no-such-program'"],
  [['--stdio', '--', '/tmp'], 1, "no program '/tmp'"],
])('proxy %j says what is wrong', async (args, code, told) => {
  expect(await cli(redis, 'proxy', ...args)).toMatchObject({ code, stderr: expect.stringContaining(told) })
})

test('before a server that speaks stdio: one process for a session, none that stays', async () => {
  const prefix = `test-${randomUUID()}`
  const script = `
    const say = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
    const serverInfo = { name: process.env.WHO, version: process.env.REDIS_URL ?? 'none' }
    console.error('hello on standard error')
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method, params } = JSON.parse(line)
      if (method === 'initialize') say(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo })
      else if (method === 'tools/call') say(id, { content: [{ type: 'text', text: String(process.pid) }] })
    }).on('close', () => process.exit())`
  const server = ['/usr/bin/env', 'WHO=me', process.execPath, '-e', script]
  const flags = ['--stdio', '--port', '0', '--prefix', prefix]
  await using proxy = await startCli(redis, 'proxy', ...flags, '--', ...server)
  const [, url = ''] = await proxy.waitForLine(/listening on (http:\/\/\S+), before \/usr\/bin\/env WHO=me/)
  const clientInfo = { name: 'test', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const begun = await post(url, { id: 1, method: 'initialize', params })
  // How the store is reached is not told.
  expect(await begun.json()).toMatchObject({ result: { serverInfo: { name: 'me', version: 'none' } } })
  const sessionId = begun.headers.get('mcp-session-id') ?? ''
  const call = await post(url, { id: 2, method: 'tools/call', params: { name: 'any' } }, sessionId)
  const pid = Number(/"text":"(\d+)"/.exec(await call.text())?.[1])
  expect(() => process.kill(pid, 0)).not.toThrow()
  expect(proxy.output).toMatch(/stdio \d+: hello on standard error/)
  expect(await proxy.kill('SIGKILL')).toMatchObject({ signal: 'SIGKILL' })
  await waitFor(() => !isAlive(pid))
  await removeKeys(prefix)
})

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'a process that does not listen is ended with the proxy by %s, and what it has started too',
  async (signal) => {
    const prefix = `test-${randomUUID()}`
    const script = `
    const stay = 'process.on("SIGTERM", () => 0); setInterval(() => 0, 1000)'
    eval(stay)
    const other = require('child_process').spawn(process.execPath, ['-e', stay])
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, params } = JSON.parse(line)
      const serverInfo = { name: process.pid + ' ' + other.pid, version: '1' }
      if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result: { ...params, capabilities: {}, serverInfo } }))
    })`
    const flags = ['--stdio', '--port', '0', '--prefix', prefix]
    await using proxy = await startCli(redis, 'proxy', ...flags, '--', process.execPath, '-e', script)
    const [, url = ''] = await proxy.waitForLine(/listening on (http:\/\/\S+), before/)
    const clientInfo = { name: 'test', version: '1' }
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
    const begun = await (await post(url, { id: 1, method: 'initialize', params })).text()
    const pids = (/"name":"(\d+ \d+)"/.exec(begun)?.[1] ?? '').split(' ').map(Number)
    expect(pids.map(isAlive)).toEqual([true, true])
    await proxy.kill(signal)
    await waitFor(() => !pids.some(isAlive))
    await removeKeys(prefix)
  },
)

function isAlive(pid: number) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
