import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServer2 } from '@modelcontextprotocol/server'
import { expect, test } from 'vitest'
import { SDKS, startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'

const INFO = { name: 'replayed', version: '1' }

test.each(SDKS)('what oninitialized does is done before the first call, and said once, %s', async (sdk) => {
  const server = () => {
    const one = (sdk === 'v1' ? new McpServer(INFO) : new McpServer2(INFO)) as McpServer
    let state = 'fresh'
    one.registerTool('look', { annotations: { readOnlyHint: true } }, () => ({
      content: [{ type: 'text', text: state }],
    }))
    const prepare = async () => {
      for (let microtask = 0; microtask < 20; microtask++) await Promise.resolve()
      state = 'initialized'
      one.sendToolListChanged()
    }
    one.server.oninitialized = () => void prepare()
    return one
  }
  await using nodes = await startNodes({ settings: { server } })
  // From then on the other node runs the tool at once.
  await (await Session.begin(nodes)).result('look', {}, { node: 1 })
  const session = await Session.begin(nodes)
  await using stream = await session.stream()
  const changed = { method: 'notifications/tools/list_changed' }
  expect((await stream.nextMessage()).message).toMatchObject(changed)
  expect(await session.result('look', {}, { node: 1 })).toBe('initialized')
  const last = { method: 'notifications/resources/list_changed' }
  await nodes.mcp(1).notify(session.id, last)
  expect((await stream.nextMessage()).message).toMatchObject(last)
})
