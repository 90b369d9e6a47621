import { createRequire } from 'node:module'
import { durable } from '@mcp-durable/core'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../test-support/index.js'
import { majors, type Major } from './support/client.js'
import { System, type SystemOptions } from './support/system.js'

// Servers that speak stdio, a process for each session, behind nodes: either side is killed.

const quiet = () => undefined
const silent = { error: quiet, warn: quiet, info: quiet, debug: quiet }

const start = (sdk: Major, options: SystemOptions = {}) =>
  System.start({
    host: 'stdio',
    sdk,
    nodes: 2,
    ...options,
    options: { heartbeatMs: 250, sweepMs: 100, ...options.options },
  })

describe.each(majors)('a server of SDK %i.x', (sdk) => {
  test('questions, progress and lines of the log reach their client', async () => {
    await using system = await start(sdk)
    const client = await system.client(sdk, await system.router())
    const steps: number[] = []
    expect(
      await client.call('progress', { count: 3 }, { onprogress: (n) => void steps.push(n) }),
    ).toMatchObject({ text: '3' })
    expect(steps).toEqual([1, 2, 3])
    for (const kind of ['elicitation', 'sampling', 'roots']) await client.call('ask', { kind })
    expect(client.questions.items.map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ])
    await client.call('say', { texts: ['a', 'b'] })
    expect(client.heard).toEqual(['a', 'b'])
  })

  test('the node is killed in a call: what only reads runs again elsewhere, nothing else does', async () => {
    await using system = await start(sdk)
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    const client = await system.client(sdk, router)
    const look = client.call('look', { gate: 'g' })
    const effect = client.call('effect', { name: 'paid', gate: 'g' })
    await client.primed()
    await Promise.all([system.recorded('look', 'g'), system.recorded('effect', 'paid')])
    const [{ pid } = { pid: 0 }] = await system.ledger('look')
    await victim.kill('SIGKILL')
    await waitFor(async () => (await system.ledger('look')).length === 2)
    await waitFor(() => !isAlive(pid))
    await system.openGate('g')
    expect(await look).toMatchObject({ text: 'g' })
    await expect(effect).rejects.toThrow(/outcome is unknown/)
    expect(await system.ledger('effect')).toHaveLength(1)
  })

  test('its process is killed in a call: what only reads runs again, nothing else does', async () => {
    await using system = await start(sdk, { nodes: 1 })
    const client = await system.client(sdk, await system.router())
    const look = client.call('look', { gate: 'g' })
    const effect = client.call('effect', { name: 'paid', gate: 'g' })
    await Promise.all([system.recorded('look', 'g'), system.recorded('effect', 'paid')])
    const [{ pid } = { pid: 0 }] = await system.ledger('look')
    process.kill(pid, 'SIGKILL')
    await waitFor(async () => (await system.ledger('look')).length === 2)
    await system.openGate('g')
    const again = await look
    expect(again.text).toBe('g')
    expect(again.pid).not.toBe(pid)
    await expect(effect).rejects.toThrow(/outcome is unknown/)
    expect(await system.ledger('effect')).toHaveLength(1)
  })
})

test('a process that is started again knows what the client has told', async () => {
  await using system = await start(1, { nodes: 1 })
  const client = await (await system.client(1, await system.router())).listens()
  await client.api.setLevel('warning')
  await client.api.subscribe('test://one')
  await client.api.rootsChanged()
  const { pid } = await client.call('look')
  process.kill(pid, 'SIGKILL')
  const { pid: next } = await client.call('look')
  expect(next).not.toBe(pid)
  const seen = JSON.parse((await client.call('seen')).text) as object
  expect(seen).toMatchObject({ initialized: 1, rootsChanged: 1, subscriptions: ['test://one'] })
  await client.call('log', { level: 'info', data: 'too little' })
  await client.call('log', { level: 'error', data: 'enough' })
  expect(client.heard).toEqual(['enough'])
  expect(await client.call('update-resource', { uri: 'test://one' })).toMatchObject({ text: 'updated' })
  await client.notifications.first(({ method }) => method === 'notifications/resources/updated')
})

test('a client that only listens goes on hearing when its process has died', async () => {
  await using system = await start(1, { nodes: 1 })
  const client = await (await system.client(1, await system.router())).listens()
  await client.api.subscribe('test://one')
  const { pid } = await client.call('look')
  process.kill(pid, 'SIGKILL')
  await waitFor(async () => (await system.ledger('started')).length === 2)
  expect(await client.call('update-resource', { uri: 'test://one' })).toMatchObject({ text: 'updated' })
  await client.notifications.first(({ method }) => method === 'notifications/resources/updated')
  expect(await system.ledger('started')).toHaveLength(2)
})

test('a question that was asked is answered to the process that was asked, through another node', async () => {
  await using system = await start(2)
  const [a, b] = system.abc
  const router = (await system.router(b)).route(a, 'tools/call')
  const client = await system.client(2, router)
  const { text } = await client.call('ask', { kind: 'elicitation' })
  expect(JSON.parse(text)).toMatchObject({ answer: { action: 'accept' } })
  expect(router.nodesOf('answer')).toEqual([b.name])
})

test('[I-6] server-everything speaks stdio: a client of each era', async () => {
  const file = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js')
  const mcp = durable({
    stdio: { command: process.execPath, args: [file, 'stdio'] },
    logger: silent,
    retryMs: 20,
  })
  const fetch = (input: URL | string, init?: RequestInit) => mcp.fetch(new Request(input, init))
  const connect = async (mode: 'legacy' | 'auto') => {
    const client = new Client(
      { name: 'test', version: '1' },
      { versionNegotiation: { mode }, capabilities: { elicitation: {} } },
    )
    client.setRequestHandler('elicitation/create', () => ({
      action: 'accept',
      content: { name: 'Ada', check: true },
    }))
    await client.connect(new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }))
    return client
  }
  for (const mode of ['legacy', 'auto'] as const) {
    const client = await connect(mode)
    const call = async (name: string, args = {}, onprogress?: () => void) => {
      const { content } = await client.callTool({ name, arguments: args }, onprogress && { onprogress })
      return (content as { text?: string }[]).map(({ text }) => text).join(' ')
    }
    expect((await client.listTools()).tools.length).toBeGreaterThan(10)
    expect(await call('echo', { message: 'hi' })).toBe('Echo: hi')
    expect(await call('trigger-elicitation-request')).toMatch(/Ada/)
    let steps = 0
    expect(
      await call('trigger-long-running-operation', { duration: 0.5, steps: 5 }, () => void steps++),
    ).toMatch(/completed/)
    expect(steps).toBe(5)
    await client.close()
  }
  await mcp.close()
})

function isAlive(pid: number) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
