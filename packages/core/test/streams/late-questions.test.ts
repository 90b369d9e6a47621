import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import type { JsonRpcRequest } from '../../src/json-rpc.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { Weather } from '../support/weather.js'

const TIMEOUT_MS = 300
const form = { message: 'Sure?', requestedSchema: { type: 'object' as const, properties: {} } }

function server() {
  const own = new McpServer({ name: 's', version: '1' })
  own.registerTool(
    'ask',
    {},
    durableTool(async (_extra, ctx) => {
      const error = await ctx
        .elicit('sure', form, { timeoutMs: TIMEOUT_MS })
        .catch((thrown: unknown) => thrown as Error)
      await ctx.info('went on')
      return { content: [{ type: 'text', text: error instanceof Error ? error.name : 'answered' }] }
    }),
  )
  return own
}

// An upstream’s tools are no part of a call of ours: they have no context to ask with.
const HERE = SYSTEMS.filter(({ host }) => host !== 'upstream')

describe.each(HERE)('a question that nobody answers in time, $store, $host', ({ store, host }) => {
  test('is called off, and its late answer changes nothing', async () => {
    await using nodes = await startNodes({ store, host, settings: { server, validateEffects: true } })
    const session = await Session.begin(nodes)
    await using call = await session.call('ask')
    const asked = (await call.nextMessage()).message as JsonRpcRequest
    const { message } = await call.nextMessage()
    expect(message).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: asked.id, reason: expect.stringContaining(`${TIMEOUT_MS} ms`) },
    })
    await session.answer(asked.id, { action: 'accept', content: {} }, { node: 1 })
    const [info, result, ...more] = await call.messages()
    expect([info, more]).toMatchObject([{ params: { data: 'went on' } }, []])
    expect(textOf(result)).toBe('StepTimeoutError')
    expect(nodes.logs.filter(({ message: line }) => line.includes('not repeatable'))).toEqual([])
  })

  test('and that could not be asked before, is not asked later', async () => {
    const weather = new Weather()
    await using nodes = await startNodes({
      store,
      host,
      settings: { server },
      wrap: (own) => weather.wrap(own),
    })
    const session = await Session.begin(nodes)
    weather.set('away', { only: ['expect'] })
    await using call = await session.call('ask')
    const info = (await call.nextMessage()).message
    weather.fine()
    const [result, ...more] = await call.messages()
    expect([info, more]).toMatchObject([{ params: { data: 'went on' } }, []])
    expect(textOf(result)).toBe('StepTimeoutError')
  })
})
