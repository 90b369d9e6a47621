import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CallToolResultSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { FetchLike } from '@mcp-durable/core/client'
import type { Args } from './observed-call.js'

export type ClientKind = 'ts1' | 'ts2'
export type Answer = { action: 'accept'; content: { answer: string } }
export interface McpClient {
  callTool(name: string, args: Args, onProgress: (progress: number) => void): Promise<ToolResult>
  close(): Promise<void>
}
export type ToolResult = { content: { type: string; text?: string }[]; isError?: boolean | undefined }
type Ask = (message: string) => Promise<Answer>

const TIMEOUT_MS = 60_000
const info = { name: 'chaos', version: '1' }
const capabilities = { elicitation: {} }

export function connect(kind: ClientKind, url: URL, fetch: FetchLike, ask: Ask): Promise<McpClient> {
  return kind === 'ts1' ? connect1(url, fetch, ask) : connect2(url, fetch, ask)
}

async function connect1(url: URL, fetch: FetchLike, ask: Ask): Promise<McpClient> {
  const client = new Client1(info, { capabilities })
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => ask(params.message))
  await client.connect(new Transport1(url, { fetch }), { timeout: TIMEOUT_MS })
  return {
    callTool: async (name, args, onProgress) =>
      (await client.callTool({ name, arguments: args }, CallToolResultSchema, {
        timeout: TIMEOUT_MS,
        onprogress: ({ progress }) => onProgress(progress),
      })) as ToolResult,
    close: () => client.close(),
  }
}

async function connect2(url: URL, fetch: FetchLike, ask: Ask): Promise<McpClient> {
  const client = new Client2(info, { capabilities })
  client.setRequestHandler('elicitation/create', ({ params }) => ask(params.message))
  await client.connect(new Transport2(url, { fetch }), { timeout: TIMEOUT_MS })
  return {
    callTool: (name, args, onProgress) =>
      client.callTool(
        { name, arguments: args },
        { timeout: TIMEOUT_MS, onprogress: ({ progress }) => onProgress(progress) },
      ),
    close: () => client.close(),
  }
}
