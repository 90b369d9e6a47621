import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpError } from '@modelcontextprotocol/sdk/types.js'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { waitFor } from '../../../../test-support/index.js'
import { Alone } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import { OpenTelemetry } from '../support/open-telemetry.js'
import { Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Weather } from '../support/weather.js'

const CALLS = 'mcp.server.operation.duration'
const isToolCall = ({ attributes }: { attributes: Record<string, unknown> }) =>
  attributes['mcp.method.name'] === 'tools/call'

describe.each(STORES)('metrics, %s', (store) => {
  test('of calls, by what they are and how they came out', async () => {
    await using otel = new OpenTelemetry()
    await using nodes = await startNodes({ store, count: 1, settings: { telemetry: otel.telemetry } })
    const session = await Session.begin(nodes)
    for (let n = 0; n < 3; n++) await session.result('echo', { text: 'payload' })
    await session.result('fail', { message: 'no' })
    const points = await waitFor(async () => {
      const found = (await otel.points(CALLS)).filter(isToolCall)
      return found.length === 2 && found
    })
    const tool = {
      'mcp.method.name': 'tools/call',
      'mcp.protocol.version': '2025-11-25',
      'gen_ai.operation.name': 'execute_tool',
    }
    expect(points).toEqual([
      { value: 3, attributes: { ...tool, 'gen_ai.tool.name': 'echo', 'mcp_durable.outcome': 'ok' } },
      {
        value: 1,
        attributes: {
          ...tool,
          'gen_ai.tool.name': 'fail',
          'mcp_durable.outcome': 'tool-error',
          'error.type': 'tool_error',
        },
      },
    ])
  })

  test('of calls without a session, by their version', async () => {
    await using otel = new OpenTelemetry()
    const settings = { telemetry: otel.telemetry, eras: ['2025-11-25', '2026-07-28'] as const }
    await using nodes = await startNodes({ store, count: 1, settings })
    const held = async (name: string) => (await otel.points(`mcp_durable.${name}`))[0]?.value
    await using stream = await new Alone(nodes).call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    for (const name of ['calls.open', 'streams', 'sessions', 'servers'])
      expect(await held(name), name).toBe(1)
    nodes.world.gates.open('g')
    await stream.messages()
    const [point] = await waitFor(async () => {
      const found = (await otel.points(CALLS)).filter(isToolCall)
      return found.length === 1 && found
    })
    expect(point?.attributes).toMatchObject({
      'mcp.protocol.version': '2026-07-28',
      'mcp_durable.outcome': 'ok',
    })
    await waitFor(async () => (await held('calls.open')) === 0 && (await held('sessions')) === 0)
  })

  test('of what a node holds', async () => {
    await using otel = new OpenTelemetry()
    await using nodes = await startNodes({ store, count: 1, settings: { telemetry: otel.telemetry } })
    const held = async (name: string) => (await otel.points(`mcp_durable.${name}`))[0]?.value
    const session = await Session.begin(nodes)
    expect([await held('calls.open'), await held('streams'), await held('sessions')]).toEqual([0, 0, 0])
    const stream = await session.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    for (const name of ['calls.open', 'streams', 'sessions', 'servers'])
      expect(await held(name), name).toBe(1)
    nodes.world.gates.open('g')
    await stream.rest()
    await waitFor(async () => (await held('calls.open')) === 0 && (await held('streams')) === 0)
    await nodes.mcp(0).close({ graceMs: 0 })
    expect(await held('servers')).toBe(0)
  })

  test('of takeovers, rebuilds, replayed events and fenced writes', async () => {
    await using otel = new OpenTelemetry()
    const settings = { telemetry: otel.telemetry, recover: () => true }
    await using nodes = await startNodes({ store, settings })
    const session = await Session.begin(nodes)
    const stream = await session.call('say', { count: 3, gate: 'g' })
    const priming = await stream.next()
    for (let n = 0; n < 3; n++) await stream.nextMessage()
    await using resumed = await session.stream(priming?.id, { node: 1 })
    for (let n = 0; n < 3; n++) await resumed.nextMessage()
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await resumed.rest()
    const count = async (name: string, value: number, attributes = {}) =>
      waitFor(async () => {
        expect(await otel.points(`mcp_durable.${name}`)).toEqual([{ value, attributes }])
        return true
      })
    await count('takeovers', 1, { 'mcp_durable.outcome': 'run' })
    await count('rebuild.duration', 1, { 'mcp_durable.outcome': 'done' })
    await count('replayed_events', 3)
    await using _ = await session.call('deaf', { gate: 'd' }, { node: 1 })
    await nodes.world.happened.until('started d')
    const [callId = ''] = await nodes.stores[1]!.findCalls(session.id, '')
    const entry = { id: `${Date.now() + 100_000}-1`, data: 'claim {}' }
    await nodes.stores[1]!.appendQuietly(session.id, callId, [entry])
    nodes.world.gates.open('d')
    await count('fenced_writes', 1)
  })

  test('of steps, and of the store, with its errors', async () => {
    await using otel = new OpenTelemetry()
    const weather = new Weather()
    const server = () =>
      durableServer((ctx, { text }) => ctx.atLeastOnce('fetch', () => text, { key: 'secret' }))
    const settings = { server, telemetry: otel.telemetry }
    await using nodes = await startNodes({ store, count: 1, wrap: (own) => weather.wrap(own), settings })
    const session = await Session.begin(nodes)
    await session.result('work', { text: '' })
    const step = { 'mcp_durable.step': 'fetch', 'mcp_durable.outcome': 'done' }
    expect(await otel.points('mcp_durable.step.duration')).toEqual([{ value: 1, attributes: step }])
    weather.set('stuck', { only: ['openCall'], times: 1 })
    expect((await session.request('tools/call', { name: 'work', arguments: {} })).status).toBe(503)
    const operations = await otel.points('mcp_durable.store.operation.duration')
    const failed = { 'mcp_durable.operation': 'openCall', 'error.type': 'store-timeout' }
    expect(operations).toContainEqual({ value: 1, attributes: failed })
    expect(operations).toContainEqual({ value: 1, attributes: { 'mcp_durable.operation': 'createSession' } })
  })
})

const HOSTS = [{ host: 'server' }, { host: 'handler' }, { host: 'server', sdk: 'v2' }] as const
test.each(HOSTS)('names that clients make up take no place, $host $sdk', async (system) => {
  await using otel = new OpenTelemetry()
  await using nodes = await startNodes({ ...system, count: 1, settings: { telemetry: otel.telemetry } })
  const session = await Session.begin(nodes)
  for (let n = 0; n < 250; n++) await session.result(`tool ${n}`)
  for (const name of ['x'.repeat(200), 'constructor', '__proto__']) await session.result(name)
  for (let n = 0; n < 3; n++) await (await session.request(`method/${n}`)).json()
  for (const name of ['nobody', 'greet'])
    await (await session.request('prompts/get', { name, arguments: { name: 'ann' } })).json()
  await session.result('echo', { text: 'here' })
  await session.result('fail', { message: 'no' })
  const points = await waitFor(async () => {
    const found = await otel.points(CALLS)
    return found.reduce((sum, { value }) => sum + value, 0) === 261 && found
  })
  const values = (name: string) => new Set(points.map(({ attributes }) => attributes[name]))
  // Behind HTTP a tool is known once it has run well.
  const failing = system.host === 'server' ? ['fail'] : []
  // `undefined`: requests of other methods.
  expect(values('gen_ai.tool.name')).toEqual(new Set([undefined, '_OTHER', 'echo', ...failing]))
  expect(values('gen_ai.prompt.name')).toEqual(new Set([undefined, '_OTHER', 'greet']))
  expect(values('mcp.method.name')).toEqual(new Set(['initialize', 'tools/call', 'prompts/get', '_OTHER']))
})

test('codes of errors that clients may choose are one in metrics', async () => {
  await using otel = new OpenTelemetry()
  const server = () => {
    const made = new McpServer({ name: 'codes', version: '1' })
    made.registerPrompt('fail', { argsSchema: { code: z.string() } }, ({ code }) => {
      throw new McpError(Number(code), 'as the client wants')
    })
    return made
  }
  await using nodes = await startNodes({ count: 1, settings: { telemetry: otel.telemetry, server } })
  const session = await Session.begin(nodes)
  const codes = [-32603, -32002, 7, 100_001, 100_002, -31_999]
  for (const code of codes)
    await (await session.request('prompts/get', { name: 'fail', arguments: { code: String(code) } })).json()
  const points = await waitFor(async () => {
    const found = (await otel.points(CALLS)).filter(({ attributes }) => 'error.type' in attributes)
    return found.reduce((sum, { value }) => sum + value, 0) === codes.length && found
  })
  for (const name of ['error.type', 'rpc.response.status_code'])
    expect(new Set(points.map(({ attributes }) => attributes[name]))).toEqual(
      new Set(['-32603', '-32002', '_OTHER']),
    )
})

test('nothing but telemetry imports OpenTelemetry', async () => {
  const src = join(import.meta.dirname, '../../src')
  const files = await readdir(src, { recursive: true })
  const others = files.filter((file) => file.endsWith('.ts') && !file.startsWith('telemetry'))
  expect(others.length).toBeGreaterThan(50)
  for (const file of others)
    expect(await readFile(join(src, file), 'utf8'), file).not.toMatch(/@opentelemetry/)
})
