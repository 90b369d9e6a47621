import { McpServer, UrlElicitationRequiredError, type ServerContext } from '@modelcontextprotocol/server'
import { capabilities, registerContent, resultOf } from './content.js'
import { nothingSeen, type CallFacade, type OnProgress, type ServerFacade, type Tool } from './tools.js'

/** A server object of `@modelcontextprotocol/server` 2.x, in its 2025 era, with these tools. */
export function createServer(tools: readonly Tool[]): McpServer {
  const mcp = new McpServer({ name: 'system-test', version: '1' }, { capabilities })
  const server = facade(mcp)
  for (const { name, input, annotations, run } of tools) {
    mcp.registerTool(name, { inputSchema: input, annotations }, async (args, context) => {
      return resultOf(await run(args, callFacade(server, context)))
    })
  }
  registerContent(mcp)
  const { seen } = server
  mcp.server.setRequestHandler('resources/subscribe', ({ params }) => {
    seen.subscriptions.add(params.uri)
    return {}
  })
  mcp.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    seen.subscriptions.delete(params.uri)
    return {}
  })
  mcp.server.setNotificationHandler('notifications/initialized', () => void seen.initialized++)
  mcp.server.setNotificationHandler('notifications/roots/list_changed', () => void seen.rootsChanged++)
  return mcp
}

function facade(mcp: McpServer): ServerFacade {
  return {
    seen: nothingSeen(),
    notify: (method, params) => mcp.server.notification({ method, params }),
    ask: (method, params, onprogress) => mcp.server.request({ method, params }, progressOptions(onprogress)),
    log: (level, data) => mcp.sendLoggingMessage({ level, data }, mcp.server.transport?.sessionId),
    addTool: (name) => void mcp.registerTool(name, {}, () => resultOf(name)),
  }
}

function callFacade(server: ServerFacade, { mcpReq, http }: ServerContext): CallFacade {
  return {
    server,
    signal: mcpReq.signal,
    authInfo: http?.authInfo,
    progressToken: mcpReq._meta?.progressToken,
    notify: (method, params) => mcpReq.notify({ method, params }),
    ask: (method, params, onprogress) => mcpReq.send({ method, params }, progressOptions(onprogress)),
    protocolError: () => new UrlElicitationRequiredError([], 'refused on purpose'),
  }
}

function progressOptions(onprogress: OnProgress | undefined) {
  return onprogress && { onprogress: ({ progress }: { progress: number }) => onprogress(progress) }
}
