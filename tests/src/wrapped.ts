import { randomUUID } from 'node:crypto'
import { memoryStore, type FetchHandler } from '@mcp-durable/core'
import { eventStore, type ServerObject } from '@mcp-durable/core/sdk'
import { WebStandardStreamableHTTPServerTransport as Transport1 } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { WebStandardStreamableHTTPServerTransport as Transport2 } from '@modelcontextprotocol/server'

/** A server as the SDK's examples write it: a transport for each session, in a Map. It knows nothing of us, but for the event store. */
export function mapOfTransports(sdk: 1 | 2, make: () => ServerObject, resumable = true): FetchHandler {
  const transports = new Map<string, Transport1 | Transport2>()
  const events = memoryStore()
  const Transport = { 1: Transport1, 2: Transport2 }[sdk]
  return async (request, { authInfo }) => {
    const options = { ...(authInfo && { authInfo: authInfo as never }) }
    const id = request.headers.get('mcp-session-id')
    const known = id === null ? undefined : transports.get(id)
    if (known) return known.handleRequest(request, options)
    if (id !== null) return Response.json(notFound, { status: 404 })
    const transport: Transport1 | Transport2 = new Transport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (one: string) => void transports.set(one, transport),
      onsessionclosed: (one: string) => void transports.delete(one),
      ...(resumable && { eventStore: eventStore(events, randomUUID()) }),
      retryInterval: 20,
    })
    await make().connect(transport)
    return transport.handleRequest(request, options)
  }
}

const notFound = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }
