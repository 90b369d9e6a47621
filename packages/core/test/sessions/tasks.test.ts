import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'

const offering = () =>
  new McpServer(
    { name: 's', version: '1' },
    {
      capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
      taskStore: new InMemoryTaskStore(),
    },
  )

test.each([
  ['server', 1],
  ['handler', 1],
  ['upstream', 0],
] as const)('tasks that end with their node are warned of, once, host %s', async (host, warnings) => {
  await using nodes = await startNodes({ count: 1, host, settings: { server: offering } })
  for (let n = 0; n < 2; n++) await Session.begin(nodes)
  expect(nodes.logs.filter(({ message }) => message.includes('do not cross nodes'))).toHaveLength(warnings)
})
