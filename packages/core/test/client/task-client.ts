import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { CallToolResult } from '@modelcontextprotocol/client'
import { durableFetch } from '../../src/client/index.js'
import type { DurableFetchOptions } from '../../src/client/index.js'
import { within } from '../support/within.js'
import { TaskServer } from './task-server.js'
import type { TaskScript } from './task-server.js'

export const EXTENSION = 'io.modelcontextprotocol/tasks'
export const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
export const quick = { initialDelayMs: 5, maxDelayMs: 20, giveUpAfterMs: 10_000 }

export const done = { status: 'completed', result: { content: [{ type: 'text', text: 'done' }] } }
export const working = { status: 'working' }
export const question = (message: string) => ({
  method: 'elicitation/create',
  params: { mode: 'form', message, requestedSchema: { type: 'object', properties: {} } },
})

type Answering = (message: string) => unknown

/** An official client that drives tasks. */
export async function connected(
  server: TaskServer,
  options: DurableFetchOptions = {},
  answer: Answering = () => ({ action: 'accept', content: {} }),
) {
  const client = new Client(
    { name: 'test', version: '1' },
    {
      capabilities: { elicitation: { form: {} } },
      versionNegotiation: { mode: { pin: '2026-07-28' } },
    },
  )
  client.setRequestHandler('elicitation/create', ({ params }) => answer(params.message) as never)
  const fetch = durableFetch({ ...quick, tasks: true, ...options })
  const transport = new StreamableHTTPClientTransport(server.url, {
    fetch,
    requestInit: { headers: { authorization: 'Bearer x' } },
  })
  await client.connect(transport)
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
}

/** Calls the tool without a client, and begins to read what comes. */
export async function read(
  server: TaskServer,
  authorization: string,
  { signal, ...headers }: { signal?: AbortSignal; [header: string]: unknown } = {},
  fetch = durableFetch({ ...quick, tasks: true }),
) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    [CAPABILITIES]: { extensions: { 'com.example/other': { a: 1 } } },
    progressToken: 'p',
  }
  const own = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'work' }
  const response = await fetch(server.url, {
    method: 'POST',
    headers: { authorization, ...own, ...(headers as Record<string, string>) },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...work, _meta } }),
    ...(signal && { signal }),
  })
  const reader = response.body!.getReader()
  return Object.assign(reader, { first: reader.read() })
}

export const textOf = ({ content: [first] }: CallToolResult) =>
  first?.type === 'text' ? first.text : undefined
export const work = { name: 'work', arguments: {} }

/** Calls the tool, and resolves to what came of it. */
export async function call(script: TaskScript, options?: DurableFetchOptions) {
  const server = await TaskServer.start(script)
  const client = await connected(server, options)
  const outcome = await within(
    client.callTool(work).then(textOf, (error: unknown) => error as Error & { code: number; data: unknown }),
    'the outcome',
  )
  await client.close()
  await server[Symbol.asyncDispose]()
  return { server, outcome }
}
