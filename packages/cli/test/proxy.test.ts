import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { spawnNode, waitFor } from '../../../test-support/index.js'
import { cli, startCli } from './support/cli.js'

const redis = process.env['REDIS_URL'] ?? ''
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

function post(url: string, body: object, sessionId?: string) {
  const headers = { ...HEADERS, ...(sessionId !== undefined && { 'mcp-session-id': sessionId }) }
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

  const client = new Redis(redis)
  const keys = await client.keys(`${prefix}*`)
  if (keys.length > 0) await client.unlink(...keys)
  client.disconnect()
})

test('what is wrong is said', async () => {
  expect(await cli(redis, 'proxy')).toMatchObject({ code: 2, stderr: expect.stringContaining('--upstream') })
  const wrong = await cli(redis, 'proxy', '--upstream', 'localhost:4000')
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('must be a URL') })
  const nobody = await cli('redis://127.0.0.1:1', 'proxy', '--upstream', 'http://127.0.0.1:2/mcp')
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('no Redis answers') })
})
