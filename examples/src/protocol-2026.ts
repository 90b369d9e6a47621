// The code of docs/protocol-2026.md, and of tasks in docs/clients.md: compiled, not run
import { durable } from '@mcp-durable/core'
import type { ServerFactory, Store } from '@mcp-durable/core'
import { durableFetch } from '@mcp-durable/core/client'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Implementation, Progress } from '@modelcontextprotocol/client'

export async function serveBoth(createMyServer: () => ReturnType<ServerFactory>, store: Store) {
  const mcp = durable({ server: () => createMyServer(), store })
  const inSessions = durable({ server: () => createMyServer(), store, eras: ['2025-11-25'] })
  await mcp.changed.tools()
  await mcp.changed.resource('orders://42', { principal: 'ann' })
  return { mcp, inSessions }
}

type Waiting = { info: Implementation; show: (progress: Progress) => void; signal: AbortSignal }

export async function haveTasks(url: URL, { info, show, signal }: Waiting) {
  const fetch = durableFetch({ tasks: true, mayRepeat: ({ method }) => method !== 'tools/call' })
  const client = new Client(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
  await client.connect(new StreamableHTTPClientTransport(url, { fetch }))

  const hours = { timeout: 12 * 3_600_000 } // or until nothing was heard for a minute:
  const alive = { timeout: 60_000, resetTimeoutOnProgress: true, onprogress: show }
  await client.callTool({ name: 'report', arguments: {} }, { ...alive, signal })
  return { client, hours }
}
