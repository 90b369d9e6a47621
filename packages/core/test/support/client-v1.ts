import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  type CallToolResult,
  type LoggingLevel,
} from '@modelcontextprotocol/sdk/types.js'
import type { Connecting, Notified, OfficialClient } from './clients.js'

/** The client of `@modelcontextprotocol/sdk` 1.x. */
export async function connectV1({ url, fetch, answers }: Connecting): Promise<OfficialClient> {
  const client = new Client(
    { name: 'v1', version: '1' },
    { capabilities: { elicitation: {}, sampling: {}, roots: { listChanged: true } } },
  )
  const notified: Notified[] = []
  const errors: Error[] = []
  client.onerror = (error) => void errors.push(error)
  client.fallbackNotificationHandler = async (notification) => void notified.push(notification as Notified)
  client.setRequestHandler(ElicitRequestSchema, async () => (await answers.elicitation?.()) as never)
  client.setRequestHandler(CreateMessageRequestSchema, async () => (await answers.sampling?.()) as never)
  client.setRequestHandler(ListRootsRequestSchema, async () => (await answers.roots?.()) as never)
  const transport = new StreamableHTTPClientTransport(url, { fetch })
  await client.connect(transport)
  return {
    notified,
    errors,
    get sessionId() {
      return transport.sessionId
    },
    async listTools() {
      return (await client.listTools()).tools.map(({ name }) => name)
    },
    async callTool(name, args = {}, { onprogress, ...options } = {}) {
      const result = (await client.callTool({ name, arguments: args }, CallToolResultSchema, {
        ...options,
        ...(onprogress && { onprogress: ({ progress }) => onprogress(progress) }),
      })) as CallToolResult
      const [content] = result.content
      const text = content?.type === 'text' ? content.text : JSON.stringify(content)
      return result.isError ? `error: ${text}` : text
    },
    async getPrompt(name, args) {
      return JSON.stringify(await client.getPrompt({ name, arguments: args }))
    },
    async readResource(uri) {
      return JSON.stringify(await client.readResource({ uri }))
    },
    async complete(name, argument) {
      return (await client.complete({ ref: { type: 'ref/prompt', name }, argument })).completion.values
    },
    async setLevel(level) {
      await client.setLoggingLevel(level as LoggingLevel)
    },
    async subscribe(uri) {
      await client.subscribeResource({ uri })
    },
    async unsubscribe(uri) {
      await client.unsubscribeResource({ uri })
    },
    terminate: () => transport.terminateSession(),
    [Symbol.asyncDispose]: () => client.close(),
  }
}
