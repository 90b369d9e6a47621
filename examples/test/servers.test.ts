import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { describe, expect, test } from 'vitest'
import { freePort, spawnNode, waitFor } from '../../test-support/index.js'
import { program, runProgram } from './run-program.js'
import { ownRedis } from './own-redis.js'

const redisUrl = await ownRedis()

describe.each(['hono', 'express', 'node'])('[E-5] everything with the adapter %s', (adapter) => {
  test('serves the official client on a free port, and ends with 0 at SIGTERM', async () => {
    const args = ['--port', '0', '--redis', redisUrl, '--adapter', adapter]
    await using node = await spawnNode(program('everything'), args)
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', node.url)))
    const result = await client.callTool({ name: 'which_node' })
    expect(result.content).toEqual([{ type: 'text', text: `pid ${node.pid}` }])
    // The client stays connected: its open stream must not keep the server from ending.
    expect(await node.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(node.output.match(/listening on/g)).toHaveLength(1)
    await client.close()
  })
})

test.each(['hono', 'express', 'node'])('tells whether it is ready and alive, with %s', async (adapter) => {
  const args = ['--port', '0', '--redis', redisUrl, '--adapter', adapter]
  await using node = await spawnNode(program('everything'), args)
  const page = (path: string) => fetch(new URL(path, node.url))
  const ready = await waitFor(async () => {
    const response = await page('/healthz')
    return response.status === 200 && response
  })
  expect(await ready.json()).toMatchObject({ ready: true, live: true, store: { reachable: true } })
  expect((await page('/livez')).status).toBe(200)
  expect((await page('/no-such-page')).status).toBeGreaterThanOrEqual(400)
})

test('[U-12] everything does without Redis, and says what that means', async () => {
  await using node = await spawnNode(program('everything'), ['--port', '0'])
  expect(node.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect(node.output).toMatch(/do not survive/)
})

test('single-node and round-robin-lb end with 0 at SIGTERM', async () => {
  await using node = await spawnNode(program('single-node'), ['--serve', '--port', '0'])
  const flags = ['--listen-port', '0', '--backend', node.url]
  await using balancer = await spawnNode(program('round-robin-lb'), flags)
  const response = await fetch(new URL('/mcp', balancer.url))
  expect(response.headers.get('x-served-by')).toBe(node.url)
  expect(await balancer.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(await node.kill('SIGTERM')).toEqual({ code: 0, signal: null })
})

describe('what is wrong is said, with a next step', () => {
  test.each([
    ['everything', ['--port', '70000'], /--port must be a number from 0 to 65535/],
    ['everything', ['--adapter', 'koa'], /--adapter must be one of hono, express, node/],
    ['everything', ['--redis', 'localhost'], /--redis must be a URL like redis:\/\//],
    ['everything', ['--redis', 'redis://x', '--file', 'x'], /--redis and --file name two stores/],
    ['everything', ['--prot', '1'], /Unknown option '--prot'/],
    ['round-robin-lb', [], /at least one --backend/],
    ['round-robin-lb', ['--backend', 'ftp://x'], /--backend must be a URL like http:\/\//],
    ['continue-session', [], /give one SESSION_ID/],
    ['resumability', ['--cut', '0'], /--cut must be a number from 1 to 10/],
    ['single-node', ['extra'], /Unexpected argument 'extra'/],
    ['demo', ['--redis', 'x'], /Unknown option '--redis'/],
    ['conformance', ['--nodes', '3'], /--nodes must be one of 1, 2/],
  ])('%s %j', async (name, args, message) => {
    const { code, stdout, stderr } = await runProgram(name, args)
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/\n\nusage: /)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  test('a Redis that is not there', async () => {
    const port = await freePort()
    const { code, stderr } = await runProgram('everything', ['--redis', `redis://127.0.0.1:${port}`])
    expect(stderr).toMatch(/no Redis at 127\.0\.0\.1:\d+ .*docker compose up -d redis/)
    expect(code).toBe(1)
  })

  test('a port that is taken', async () => {
    await using node = await spawnNode(program('everything'), ['--port', '0'])
    const { code, stderr } = await runProgram('everything', ['--port', new URL(node.url).port])
    expect(stderr).toMatch(/port \d+ is taken/)
    expect(code).toBe(1)
  })

  test('--help', async () => {
    const { code, stdout } = await runProgram('everything', ['--help'])
    expect(stdout).toMatch(/^usage: /)
    expect(code).toBe(0)
  })
})
