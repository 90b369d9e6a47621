import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CallToolResultSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { FetchLike } from '@mcp-durable/core/client'
import type { Args } from './observed-call.js'

export type ClientKind = 'ts1' | 'ts2'
export type Answer = { action: 'accept'; content: { answer: string } }
export interface McpClient {
  callTool(
    name: string,
    args: Args,
    onProgress: (progress: number) => void,
    gone?: AbortSignal,
  ): Promise<ToolResult>
  close(): Promise<void>
}
export type ToolResult = { content: { type: string; text?: string }[]; isError?: boolean | undefined }
type Ask = (message: string) => Promise<Answer>

/** Longer than owner after owner may die or stand still. */
const TIMEOUT_MS = 120_000
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
  return calling(await connected2(new Client2(info, { capabilities }), url, fetch, ask))
}

const pinned = { versionNegotiation: { mode: { pin: '2026-07-28' } } }

/** In the protocol without sessions. */
export async function connectAlone(url: URL, fetch: FetchLike, ask: Ask): Promise<McpClient> {
  return calling(await connected2(new Client2(info, { capabilities, ...pinned }), url, fetch, ask))
}

/** Hears which resources change, until it is closed. `ended`: when nothing more comes. */
export async function listenAlone(
  url: URL,
  fetch: FetchLike,
  resourceSubscriptions: string[],
  onUpdated: (uri: string) => void,
): Promise<{ ended: Promise<unknown>; close: () => Promise<void> }> {
  const client = await connected2(new Client2(info, { capabilities, ...pinned }), url, fetch)
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => onUpdated(params.uri))
  const { closed } = await client.listen({ resourceSubscriptions }, { timeout: TIMEOUT_MS })
  return { ended: closed, close: () => client.close() }
}

async function connected2(client: Client2, url: URL, fetch: FetchLike, ask?: Ask): Promise<Client2> {
  if (ask) client.setRequestHandler('elicitation/create', ({ params }) => ask(params.message))
  await client.connect(new Transport2(url, { fetch }), { timeout: TIMEOUT_MS })
  return client
}

const calling = (client: Client2): McpClient => ({
  callTool: (name, args, onProgress, signal) =>
    client.callTool(
      { name, arguments: args },
      {
        timeout: TIMEOUT_MS,
        // The client tells of its own work as well.
        onprogress: ({ progress, message }) => {
          if (!message?.startsWith('Fulfilling input required')) onProgress(progress)
        },
        ...(signal && { signal }),
      },
    ),
  close: () => client.close(),
})
