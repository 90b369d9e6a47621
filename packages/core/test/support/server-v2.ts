import { completable, McpServer, ResourceTemplate } from '@modelcontextprotocol/server'
import type { LoggingLevel, ServerContext } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { greeting, NAMES, slowPrompt, startingWith, tools } from './tools.js'
import type { ToolContext } from './tools.js'
import type { Speaker, World } from './world.js'

/** The fixture server, for `@modelcontextprotocol/server` 2.x in its 2025 era. */
export function serverV2(node: string, world: World): McpServer {
  const server = new McpServer(
    { name: 'fixture', version: '2' },
    { capabilities: { logging: {}, resources: { subscribe: true } } },
  )
  const subscribed = new Set<string>()
  const speaker = speakerOf(server)
  world.speakers.set(node, speaker)
  const contextOf = ({ mcpReq, http, sessionId }: ServerContext): ToolContext => ({
    node,
    world,
    speaker,
    subscribed,
    requestId: mcpReq.id,
    signal: mcpReq.signal,
    sessionId,
    authInfo: http?.authInfo,
    progressToken: mcpReq._meta?.progressToken,
    notify: (method, params) => mcpReq.notify({ method, params }),
    closeStream: http?.closeSSE,
    closeStandaloneStream: http?.closeStandaloneSSE,
  })
  for (const [name, { input, annotations = {}, run }] of Object.entries(tools)) {
    server.registerTool(name, { inputSchema: input, annotations }, async (args, context) => ({
      content: [{ type: 'text', text: await run(args, contextOf(context)) }],
    }))
  }
  server.server.oninitialized = () => world.happened.add(`initialized on ${node}`)
  registerPrompts(server, contextOf)
  registerResources(server, subscribed)
  return server
}

function registerPrompts(server: McpServer, contextOf: (context: ServerContext) => ToolContext) {
  const greet = z.object({ name: completable(z.string(), startingWith) })
  server.registerPrompt('greet', { argsSchema: greet }, async ({ name }) => greeting(`Hello, ${name}`))
  for (const kind of ['wait', 'noisy'] as const) {
    server.registerPrompt(kind, { argsSchema: z.object({ gate: z.string() }) }, ({ gate }, context) =>
      slowPrompt(kind, gate, contextOf(context)),
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
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    subscribed.add(params.uri)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
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
