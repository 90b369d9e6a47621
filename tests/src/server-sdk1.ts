import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  InitializedNotificationSchema,
  ResultSchema,
  RootsListChangedNotificationSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  UrlElicitationRequiredError,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js'
import { capabilities, registerContent, resultOf } from './content.js'
import { nothingSeen, type CallFacade, type OnProgress, type ServerFacade, type Tool } from './tools.js'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

/** A server object of `@modelcontextprotocol/sdk` 1.x with these tools. */
export function createServer(tools: readonly Tool[]): McpServer {
  const mcp = new McpServer({ name: 'system-test', version: '1' }, { capabilities })
  const server = facade(mcp)
  for (const { name, input, annotations, run } of tools) {
    mcp.registerTool(name, { inputSchema: input, annotations }, async (args, extra) => {
      return resultOf(await run(args, callFacade(server, extra)))
    })
  }
  registerContent(mcp)
  const { seen } = server
  mcp.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    seen.subscriptions.add(params.uri)
    return {}
  })
  mcp.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    seen.subscriptions.delete(params.uri)
    return {}
  })
  mcp.server.setNotificationHandler(InitializedNotificationSchema, () => void seen.initialized++)
  mcp.server.setNotificationHandler(RootsListChangedNotificationSchema, () => void seen.rootsChanged++)
  return mcp
}

function facade(mcp: McpServer): ServerFacade {
  return {
    seen: nothingSeen(),
    notify: (method, params) => mcp.server.notification({ method, params }),
    ask: (method, params, onprogress) =>
      mcp.server.request({ method, params }, ResultSchema, progressOptions(onprogress)),
    log: (level, data) => mcp.sendLoggingMessage({ level, data }, mcp.server.transport?.sessionId),
    addTool: (name) => void mcp.registerTool(name, {}, () => resultOf(name)),
  }
}

function callFacade(server: ServerFacade, extra: Extra): CallFacade {
  return {
    server,
    signal: extra.signal,
    authInfo: extra.authInfo,
    progressToken: extra._meta?.progressToken,
    notify: (method, params) => extra.sendNotification({ method, params } as ServerNotification),
    ask: (method, params, onprogress) =>
      extra.sendRequest({ method, params } as ServerRequest, ResultSchema, progressOptions(onprogress)),
    protocolError: () => new UrlElicitationRequiredError([], 'refused on purpose'),
  }
}

function progressOptions(onprogress: OnProgress | undefined) {
  return onprogress && { onprogress: ({ progress }: { progress: number }) => onprogress(progress) }
}
