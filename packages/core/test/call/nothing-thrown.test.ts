import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { CallToolRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { McpServer as OldestV1 } from 'sdk-oldest/server/mcp.js'
import { McpServer as OldestV2 } from 'server-oldest'
import { describe, expect, test } from 'vitest'
import { durablePrompt, durableTool } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import type { ServerObject } from '../../src/sdk.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectJson, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

const INFO = { name: 'nothing', version: '1' }
// oxlint-disable-next-line typescript/prefer-promise-reject-errors -- that is what it is about
const nothing = () => Promise.reject(undefined)
const odd = () => {
  const get = () => {
    // oxlint-disable-next-line typescript/only-throw-error -- the same
    throw undefined
  }
  return { content: [], _meta: Object.defineProperty({}, 'odd', { enumerable: true, get }) }
}

/** A server of either major, which are alike in what is used here. */
function makeOf(Class: typeof McpServerV1): McpServerV1 {
  const server = new Class(INFO)
  server.registerPrompt('plain', {}, nothing)
  server.registerPrompt('durable', {}, durablePrompt(nothing) as never)
  server.registerResource('r', 'test://r', {}, nothing)
  server.registerTool('odd', {}, durableTool(async () => odd()) as never)
  return server
}
const SDKS: Record<string, () => McpServerV1> = {
  '1.x': () => makeOf(McpServerV1),
  'the oldest 1.x': () => makeOf(OldestV1 as unknown as typeof McpServerV1),
  '2.x': () => makeOf(McpServerV2 as unknown as typeof McpServerV1),
  'the oldest 2.x': () => makeOf(OldestV2 as unknown as typeof McpServerV1),
}
const REQUESTS: [string, Record<string, unknown>][] = [
  ['prompts/get', { name: 'plain' }],
  ['prompts/get', { name: 'durable' }],
  ['resources/read', { uri: 'test://r' }],
]

const codeOf = (message: JsonRpcMessage | undefined) =>
  (message as { error?: { code: number } } | undefined)?.error?.code
const logged = ({ logs }: Nodes) => logs.filter(({ message }) => message.includes('can’t be recorded'))

describe.each(Object.entries(SDKS))('a handler that rejects with nothing, of SDK %s', (_name, make) => {
  test('in a session: its request ends with an error, which is on the log', async () => {
    await using nodes = await startNodes({ serverOf: () => make, settings: { validateEffects: false } })
    const session = await Session.begin(nodes)
    for (const [method, params] of REQUESTS)
      expect(codeOf(await expectJson<JsonRpcMessage>(await session.request(method, params))), method).toBe(
        -32603,
      )
    expect(logged(nodes)).toHaveLength(REQUESTS.length)
    expect(await (await session.call('odd')).messages()).toHaveLength(1)
    expect(await nodes.stores[0]!.listOpenCalls(session.id)).toEqual([])
  })

  test('without a session: the same', async () => {
    await using nodes = await startNodes({
      serverOf: () => make,
      settings: { eras: ['2025-11-25', '2026-07-28'] },
    })
    const client = new Alone(nodes)
    for (const [method, params] of REQUESTS) {
      const response = await client.request(method, params)
      expect(codeOf((await response.json()) as JsonRpcMessage), method).toBe(-32603)
    }
    expect(logged(nodes)).toHaveLength(REQUESTS.length)
    expect(await (await client.call('odd')).messages()).toHaveLength(1)
  })

  test('its application hears of it as ever, whenever it has set `onerror`', async () => {
    const heard: string[] = []
    const made: McpServerV1[] = []
    const serverOf = () => {
      const server = make()
      server.server.onerror = ({ message }) => heard.push(`first: ${message}`)
      made.push(server)
      return server as unknown as ServerObject
    }
    await using nodes = await startNodes({ count: 1, serverOf: () => serverOf })
    const session = await Session.begin(nodes)
    const [method, params] = REQUESTS[0]!
    await expectJson(await session.request(method, params))
    for (const { server } of made) server.onerror = ({ message }) => heard.push(`later: ${message}`)
    expect(codeOf(await expectJson<JsonRpcMessage>(await session.request(method, params)))).toBe(-32603)
    await waitFor(() => heard.length === 2)
    expect(heard[0]).toMatch(/^first: Failed to send response/)
    expect(heard[1]).toMatch(/^later: Failed to send response/)
  })
})

test.each(STORES)(
  'a tool of a low-level server that rejects with nothing ends its call, %s',
  async (store) => {
    const low = () => {
      const server = new Server(INFO, { capabilities: { tools: {} } })
      server.setRequestHandler(CallToolRequestSchema, nothing)
      return server
    }
    await using nodes = await startNodes({ store, serverOf: () => low })
    const session = await Session.begin(nodes)
    const [message] = await (await session.call('any')).messages()
    expect(codeOf(message)).toBe(-32603)
    expect(await nodes.stores[0]!.listOpenCalls(session.id)).toEqual([])
  },
)
