import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import type { Ears, OfficialClient } from './client.js'

const REQUEST_MS = 20_000
const capabilities = { elicitation: {}, sampling: {}, roots: { listChanged: true } }

/** Connects the client of `@modelcontextprotocol/sdk` 1.x. */
export async function connectSdk1(url: URL, ears: Ears): Promise<OfficialClient> {
  const client = new Client({ name: 'system-test', version: '1' }, { capabilities })
  for (const schema of [ElicitRequestSchema, CreateMessageRequestSchema, ListRootsRequestSchema]) {
    client.setRequestHandler(schema, ({ method, params }, extra) => {
      const progressToken = params?._meta?.progressToken ?? ''
      return ears.hear({
        method,
        params,
        progress: (progress) =>
          extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress } }),
      })
    })
  }
  client.fallbackNotificationHandler = async ({ method, params }) =>
    ears.notifications.push({ method, params })
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the client's own callback, no DOM event
  client.onerror = (error) => ears.errors.push(error)
  const transport = new StreamableHTTPClientTransport(url, { fetch: ears.tap.fetch })
  await client.connect(transport)
  return {
    sessionId: transport.sessionId ?? '',
    async callTool(name, args, { onprogress, signal }) {
      const options = {
        timeout: REQUEST_MS,
        ...(signal && { signal }),
        ...(onprogress && { onprogress: ({ progress }: { progress: number }) => onprogress(progress) }),
      }
      const result = await client.callTool({ name, arguments: args }, CallToolResultSchema, options)
      if (result.isError === true) throw new Error(`tool error: ${JSON.stringify(result.content)}`)
      return result.content as { type: string; text?: string }[]
    },
    subscribe: (uri) => client.subscribeResource({ uri }),
    setLevel: (level) => client.setLoggingLevel(level),
    rootsChanged: () => client.sendRootsListChanged(),
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    readResource: async (uri) => textOf((await client.readResource({ uri })).contents[0]),
    close: () => client.close(),
  }
}

export const textOf = (contents: object | undefined) =>
  contents !== undefined && 'text' in contents ? String(contents.text) : ''
