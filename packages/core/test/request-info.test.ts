import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, test } from 'vitest'
import { startNodes } from './support/nodes.js'
import { ADAPTERS } from './support/serve.js'
import { Session, textOf } from './support/session.js'

test.each(ADAPTERS)('a tool sees the headers and the URL of its request on %s', async (adapter) => {
  const server = () => {
    const made = new McpServer({ name: 'test', version: '1.0.0' })
    made.registerTool('see', {}, ({ requestInfo }) => {
      const seen = [requestInfo?.headers['accept'], requestInfo?.url?.href, JSON.stringify(requestInfo)]
      return { content: [{ type: 'text', text: JSON.stringify(seen) }] }
    })
    return made
  }
  await using nodes = await startNodes({ adapter, count: 1, settings: { server } })
  const session = await Session.begin(nodes)
  await using stream = await session.call('see')
  const [accept, url, written] = JSON.parse(textOf((await stream.messages()).at(-1)) ?? '') as string[]

  expect(accept).toContain('text/event-stream')
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1/)
  expect(JSON.parse(written ?? '')).toMatchObject({ headers: { accept }, url })
})
