import { completable } from '@modelcontextprotocol/sdk/server/completable.js'
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  type LoggingLevel,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { greeting, NAMES, slowPrompt, startingWith, tools } from './tools.js'
import type { ToolContext } from './tools.js'
import type { Speaker, World } from './world.js'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

/** The fixture server, for `@modelcontextprotocol/sdk` 1.x. */
export function serverV1(node: string, world: World): McpServer {
  const server = new McpServer(
    { name: 'fixture', version: '1' },
    { capabilities: { logging: {}, resources: { subscribe: true } } },
  )
  const subscribed = new Set<string>()
  const speaker = speakerOf(server)
  world.speakers.set(node, speaker)
  const contextOf = (extra: Extra): ToolContext => ({
    node,
    world,
    speaker,
    subscribed,
    requestId: extra.requestId,
    signal: extra.signal,
    sessionId: extra.sessionId,
    authInfo: extra.authInfo,
    progressToken: extra._meta?.progressToken,
    notify: (method, params) => extra.sendNotification({ method, params } as ServerNotification),
    closeStream: extra.closeSSEStream,
    closeStandaloneStream: extra.closeStandaloneSSEStream,
  })
  for (const [name, { input, annotations = {}, run }] of Object.entries(tools)) {
    server.registerTool(name, { inputSchema: input, annotations }, async (args, extra) => ({
      content: [{ type: 'text', text: await run(args, contextOf(extra)) }],
    }))
  }
  server.server.oninitialized = () => world.happened.add(`initialized on ${node}`)
  registerPrompts(server, contextOf)
  registerResources(server, subscribed)
  return server
}

function registerPrompts(server: McpServer, contextOf: (extra: Extra) => ToolContext) {
  const name = completable(z.string(), startingWith)
  server.registerPrompt('greet', { argsSchema: { name } }, async (args) => greeting(`Hello, ${args.name}`))
  for (const kind of ['wait', 'noisy'] as const) {
    server.registerPrompt(kind, { argsSchema: { gate: z.string() } }, ({ gate }, extra) =>
      slowPrompt(kind, gate, contextOf(extra)),
    )
  }
}

function registerResources(server: McpServer, subscribed: Set<string>) {
  server.registerResource('static', 'test://static', {}, async ({ href }) => ({
    contents: [{ uri: href, text: 'static text' }],
  }))
  const template = new ResourceTemplate('test://people/{name}', {
    list: undefined,
    complete: { name: startingWith },
  })
  server.registerResource('people', template, {}, async ({ href }, { name }) => ({
    contents: [{ uri: href, text: NAMES.includes(String(name)) ? `${String(name)} is here` : 'nobody' }],
  }))
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri)
    return {}
  })
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri)
    return {}
  })
}

function speakerOf(server: McpServer): Speaker {
  const inner = server.server
  return {
    ask(question, relatedRequestId, more = {}) {
      const options = { ...more, ...(relatedRequestId !== undefined && { relatedRequestId }) }
      switch (question) {
        case 'elicitation':
          return inner.elicitInput(
            {
              message: 'Sure?',
              requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } } },
            },
            options,
          )
        case 'sampling':
          return inner.createMessage(
            { messages: [{ role: 'user', content: { type: 'text', text: 'Say hi' } }], maxTokens: 10 },
            options,
          )
        case 'roots':
          return inner.listRoots({}, options)
      }
    },
    notify: (method, params) => inner.notification({ method, params }),
    log: (level, data, sessionId) =>
      inner.sendLoggingMessage({ level: level as LoggingLevel, data }, sessionId),
    updated: (uri) => inner.sendResourceUpdated({ uri }),
    toolsChanged: () => server.sendToolListChanged(),
  }
}
