// The code of docs/protocol-2026.md: compiled, not run
import { durable } from '@mcp-durable/core'
import type { ServerFactory, Store } from '@mcp-durable/core'

export async function serveBoth(createMyServer: () => ReturnType<ServerFactory>, store: Store) {
  const mcp = durable({ server: () => createMyServer(), store, eras: ['2025-11-25', '2026-07-28'] })
  await mcp.changed.tools()
  await mcp.changed.resource('orders://42', { principal: 'ann' })
  return mcp
}
