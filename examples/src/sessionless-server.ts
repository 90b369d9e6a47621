import {
  createMcpHandler,
  McpServer,
  type McpHttpHandler,
  type ServerEventBus,
} from '@modelcontextprotocol/server'
import { registerSessionlessTools, requestState } from './fixtures/sessionless-tools.js'
import { registerContentTools } from './fixtures/content-tools.js'
import { registerJsonSchemaTool } from './fixtures/json-schema-tool.js'
import { likeSdk1 } from './fixtures/like-sdk-1.js'
import { registerPrompts } from './fixtures/prompts.js'
import { registerResources } from './fixtures/resources.js'
import { registerStreamTools } from './fixtures/stream-tools.js'

/**
 * A server of SDK 2.x as its documentation writes it: a server object for each request, and no sessions. With every fixture that the
 * suite of 2026-07-28 asks for. Nothing in it knows of stores or other nodes.
 * `bus`: who is told of changes; by default the clients that listen to this process.
 */
export function createSessionless(bus?: ServerEventBus): McpHttpHandler {
  const handler: McpHttpHandler = createMcpHandler(
    () => {
      const server = new McpServer(
        { name: 'sessionless', version: '1.0.0' },
        {
          capabilities: {
            tools: { listChanged: true },
            resources: { subscribe: true, listChanged: true },
            prompts: { listChanged: true },
            logging: {},
            completions: {},
          },
          requestState: { verify: (...given) => requestState.verify(...given) },
        },
      )
      const like = likeSdk1(server)
      registerContentTools(like)
      registerStreamTools(like)
      registerJsonSchemaTool(like)
      registerResources(like)
      registerPrompts(like)
      registerSessionlessTools(server, () => handler.notify)
      return server
    },
    { ...(bus && { bus }) },
  )
  return handler
}
