import type { FetchHandler } from '@mcp-durable/core'
import { acceptedContent, createMcpHandler, inputRequired } from '@modelcontextprotocol/server'
import { createServer } from './server-sdk2.js'
import type { SharedDir } from './shared-dir.js'
import { tools } from './tools.js'

const form = {
  message: 'Name?',
  requestedSchema: { type: 'object' as const, properties: { answer: { type: 'string' as const } } },
}

/** A server as the documentation of SDK 2.x writes it: an object for each request, and no sessions. It knows nothing of us. */
export function withoutSessions(dir: SharedDir): FetchHandler {
  const { fetch } = createMcpHandler(
    () => {
      const server = createServer(tools(dir))
      server.registerTool('ask-name', {}, ({ mcpReq }) => {
        const given = acceptedContent<{ answer: string }>(mcpReq.inputResponses, 'name')
        dir.record(given ? 'answered' : 'asked', given?.answer ?? '')
        if (given) return { content: [{ type: 'text' as const, text: `hello ${given.answer}` }] }
        return inputRequired({
          inputRequests: { name: inputRequired.elicit(form) },
          requestState: 'of the server',
        })
      })
      return server
    },
    { legacy: 'reject' },
  )
  return fetch
}
