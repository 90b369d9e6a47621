import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { describe, expect, test } from 'vitest'
import { freePort, spawnNode } from '../../test-support/index.js'
import { listen } from '../src/listen.js'
import { program, runProgram } from './run-program.js'
import { ownRedis } from './own-redis.js'

const redisUrl = await ownRedis()
const startEverything = () => spawnNode(program('everything'), ['--port', '0', '--redis', redisUrl])
const noRedis = { REDIS_URL: '' }

test('[E-1] single-node checks itself', async () => {
  const { code, stdout } = await runProgram('single-node', ['--redis', redisUrl])
  expect(stdout).toMatch(/all as it should be/)
  expect(code).toBe(0)
})

describe('[E-3] continue-session', () => {
  test('goes on with a session on every node', async () => {
    await using first = await startEverything()
    await using second = await startEverything()
    const transport = new StreamableHTTPClientTransport(new URL('/mcp', first.url))
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(transport)

    const bases = [first, second].flatMap(({ url }) => ['--base', `${url}/mcp`])
    const { code, stdout } = await runProgram('continue-session', [...bases, '--', transport.sessionId!])
    expect(stdout).toContain(`pid ${first.pid}`)
    expect(stdout).toContain(`pid ${second.pid}`)
    expect(code).toBe(0)
    await client.close()
  })

  test('fails for a session that nobody began, and where no node is', async () => {
    await using node = await startEverything()
    const unknown = await runProgram('continue-session', ['no-such-session', '--base', `${node.url}/mcp`])
    expect(unknown.stderr).toMatch(/does not know this session/)
    expect(unknown.code).toBe(1)

    const base = `http://127.0.0.1:${await freePort()}/mcp`
    const nobody = await runProgram('continue-session', ['any', '--base', base])
    expect(nobody.stderr).toMatch(/nobody answers/)
    expect(nobody.code).toBe(1)
  })

  test('repeats what it was given without its control characters', async () => {
    const { stderr, code } = await runProgram('continue-session', ['any', '--base', 'x\u001B[2J\n\u202E'])
    expect(stderr).toContain(String.raw`not 'x\u001b[2J\n\u202e'`)
    expect(stderr.replaceAll(/[\n…]/g, '')).not.toMatch(/\p{C}/u)
    expect(code).toBe(2)
  })
})

describe('[E-4] resumability', () => {
  test('resumes on another node', async () => {
    const { code, stdout } = await runProgram('resumability')
    expect(stdout).toMatch(/two nodes over Redis/)
    expect(stdout).toMatch(/last-event-id: /)
    expect(stdout).toMatch(/10 messages and the result: nothing lost, nothing repeated/)
    expect(code).toBe(0)
  })

  test('resumes on another node over one file', async () => {
    const { code, stdout } = await runProgram('resumability', ['--to', '5', '--cut', '5'], noRedis)
    expect(stdout).toMatch(/two nodes over one file/)
    expect(code).toBe(0)
  })

  test('takes nodes that run already', async () => {
    await using first = await startEverything()
    await using second = await startEverything()
    const bases = [first, second].flatMap(({ url }) => ['--base', `${url}/mcp`])
    expect((await runProgram('resumability', [...bases, '--cut', '1'])).code).toBe(0)
  })

  test('fails when a message is repeated', async () => {
    const event = (id: number, message: object): string => `id: ${id}\ndata: ${JSON.stringify(message)}\n\n`
    const said = (counted: number): string =>
      event(counted, { method: 'notifications/message', params: { data: { counted } } })
    const server = createServer((req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'mcp-session-id': 's' })
      // Whatever the client has seen, it gets the second message again.
      const isResume = req.method === 'GET'
      res.end(isResume ? said(2) + event(3, { result: {} }) : said(1) + said(2))
    })
    const listening = await listen(server, '127.0.0.1', 0)
    const base = ['--base', listening.url]
    const { code, stderr } = await runProgram('resumability', [...base, '--to', '2', '--cut', '2'])
    expect(stderr).toMatch(/an event came twice/)
    expect(code).toBe(1)
    await listening.close()
  })
})

describe('[E-6] demo', () => {
  test('holds with node processes on Redis', async () => {
    const { code, stdout } = await runProgram('demo')
    expect(stdout).toMatch(/^two processes over Redis \(REDIS_URL\)/)
    expect(stdout).toMatch(/killed with SIGKILL at message/)
    expect(stdout).toMatch(/asked by pid (\d+), then killed with SIGKILL; result by pid (?!\1)/)
    expect(stdout).toMatch(/ask for the name +asked once +1 /)
    expect(stdout).toMatch(/all of it held/)
    expect(code).toBe(0)
  })

  test.each(['handler', 'upstream'])('holds with --host %s', async (host) => {
    const { code, stdout } = await runProgram('demo', ['--host', host])
    expect(stdout).toMatch(/killed with SIGKILL at message/)
    expect(stdout).toMatch(/then killed with SIGKILL; (result by|the server behind it)/)
    expect(stdout).toMatch(/all of it held/)
    expect(code).toBe(0)
  })

  test('holds over one file on a bare machine, which it leaves as it was', async () => {
    const { code, stdout, stderr } = await runProgram('demo', [], noRedis)
    const [, path = ''] = /^two processes over one file \((.+)\)/.exec(stdout) ?? []
    expect(stderr).toBe('')
    expect(stdout).toMatch(/killed with SIGKILL at message/)
    expect(stdout).toMatch(/asked by pid (\d+), then killed with SIGKILL; result by pid (?!\1)/)
    expect(stdout).toMatch(/all of it held/)
    expect(code).toBe(0)
    expect(path).toMatch(/mcp\.db$/)
    expect(existsSync(dirname(path))).toBe(false)
  })
})
