import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express5, { type Request, type Response } from 'express'
import { expect, test } from 'vitest'
import { fromNode } from '../../src/adapters/express.js'
import { durable, durableContext, memoryStore } from '../../src/index.js'
import { dataOf, Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

const express4 = createRequire(import.meta.url)('express4') as typeof express5

/** As the SDK's examples write it. */
function app(framework: typeof express5) {
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const closed: string[] = []
  const server = framework()
  server.use(framework.json())
  const serve = async (req: Request, res: Response) => {
    const id = req.header('mcp-session-id')
    let transport = id === undefined ? undefined : transports.get(id)
    if (!transport) {
      if (id !== undefined) {
        res
          .status(400)
          .json({ jsonrpc: '2.0', id: null, error: { code: -32000, message: 'No valid session' } })
        return
      }
      const made = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (one) => void transports.set(one, made),
        onsessionclosed: (one) => void transports.delete(one),
      })
      await makeServer().connect(made)
      transport = made
    }
    res.once('close', () => closed.push(req.method))
    await transport.handleRequest(req, res, req.body)
  }
  server.all('/mcp', (req, res) => void serve(req, res))
  return { server, transports, closed }
}

function makeServer() {
  const server = new McpServer({ name: 'existing', version: '1' }, { capabilities: { logging: {} } })
  server.registerTool('count', {}, async ({ sendNotification, authInfo }) => {
    for (const data of ['one', 'two'])
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data } })
    const made = await durableContext().atLeastOnce('make', () => 'made once')
    return { content: [{ type: 'text', text: `${made} for ${authInfo?.clientId}` }] }
  })
  server.registerTool('big', {}, async () => ({ content: [{ type: 'text', text: 'x'.repeat(3_000_000) }] }))
  server.registerTool('hang', {}, async (extra) => {
    await new Promise((resolve) => extra.signal.addEventListener('abort', resolve))
    return { content: [] }
  })
  return server
}

test.each([
  ['5', express5],
  ['4', express4],
])('an application of Express %s, unchanged', async (_, framework) => {
  const { server, transports, closed } = app(framework)
  const mcp = durable({ store: memoryStore(), handler: fromNode(server as never) })
  const endpoint = {
    fetch: (init?: RequestInit) =>
      mcp.fetch(new globalThis.Request('http://127.0.0.1/mcp', init), { authInfo: { clientId: 'alice' } }),
  }
  const nodes = { endpoint: () => endpoint }
  const session = await Session.begin(nodes as never)
  const messages = await (await session.call('count')).messages()
  expect(messages.slice(0, -1).map(dataOf)).toEqual(['one', 'two'])
  expect(textOf(messages.at(-1))).toBe('made once for alice')
  expect((await session.result('big')).length).toBe(3_000_000)

  await using hanging = await session.call('hang', {}, { id: 'h' })
  await hanging.next()
  await session.notify('notifications/cancelled', { requestId: 'h' })
  expect(await hanging.messages()).toEqual([])
  // Every connection was closed, but for the standalone stream.
  await waitFor(() => closed.filter((method) => method === 'POST').length === 6, { what: closed.join() })

  // A session that the application has lost, which it says with 400.
  for (const transport of transports.values()) void transport.close()
  transports.clear()
  expect((await session.result('big')).length).toBe(3_000_000)
  await session.delete()
  await waitFor(() => transports.size === 0)
  await mcp.close({ graceMs: 0 })
})
