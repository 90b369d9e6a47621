// The code of a server whose calls are tried again: which code it is, `ORDER_CODE` says. What it does to the world is in `LEDGER`.

import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

const { ORDER_CODE: code = 'v1', LEDGER: ledger = '' } = process.env
const effect = (what: string) => appendFileSync(ledger, `${what}\n`)

if (code === 'throws') throw new Error('there is no database here')
if (code === 'exits') process.exit(3)

const order = durableTool(async ({ item }: { item: string }, ctx) => {
  await ctx.now('began')
  if (code === 'kind') await ctx.random('hold')
  else await ctx.atLeastOnce('hold', () => effect(`hold ${item}`))
  if (code === 'stands') await sleep(3_600_000)
  if (code === 'inserted' || (code === 'patched' && ctx.patched('check')))
    await ctx.atMostOnce('check', () => effect('check'))
  if (code !== 'removed')
    await ctx.atMostOnce(code === 'renamed' ? 'pay' : 'charge', () => effect(`charge ${item}`), { key: item })
  await ctx.sleep('pause', 3_600_000)
  await ctx.atMostOnce('send', () => effect(`send ${item}`))
  return { content: [] }
})

const plain = async () => {
  effect('plain')
  return { content: [] }
}

export function server() {
  const made = new McpServer({ name: 'orders', version: '1' })
  const inputSchema = { item: z.string() }
  made.registerTool('order', { inputSchema }, code === 'plain' ? plain : order)
  return made
}
