// One node over a file whose tool charges, and then ships when there is a file GATE: `node parting-node.js FILE LEDGER CHARGE [SETTINGS]`.
// CHARGE is the name of the step that charges: the code of each deploy has its own. SETTINGS of `durable`, as JSON.

import { appendFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { durable, durableTool } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { file } from '@mcp-durable/sqlite-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'

const [path = '', ledger = '', charge = '', settings = '{}'] = process.argv.slice(2)
const effect = (what: string) => appendFileSync(ledger, `${what} ${process.pid}\n`)

const order = durableTool(async (_args, ctx) => {
  await ctx.atMostOnce(charge, () => effect(charge))
  await ctx.atLeastOnce('ship', async ({ signal }) => {
    effect('ship')
    while (!existsSync(`${ledger}.gate`)) await sleep(20, undefined, { signal })
  })
  return { content: [{ type: 'text' as const, text: `ended by ${process.pid}` }] }
})

function makeServer() {
  const server = new McpServer({ name: 'orders', version: '1' })
  server.registerTool('order', { inputSchema: {} }, order)
  return server
}

const given = JSON.parse(settings) as object
const mcp = durable({ server: makeServer, store: file(path), divergesAfterMs: 2000, ...given })
const http = createServer(node(mcp))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
