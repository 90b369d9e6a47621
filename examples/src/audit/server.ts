import { durableContext, uuid7Floor, type MapEntry } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { RefusedError, type Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'
import { auditMap, audited, type AuditEntry } from './audited.js'

await runServer('audit', createServer)

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'audit', version: '1.0.0' })
  const account = { account: z.string() }
  const limit = z.number().int().min(1).max(100).default(10)

  server.registerTool(
    'open_account',
    { description: 'Opens an account', inputSchema: account },
    audited('open_account', ({ account: subject }: { account: string }, ctx) =>
      ctx.atLeastOnce('open', (run) => outside.ask<{ number: number }>('open', { subject }, run)),
    ),
  )

  server.registerTool(
    'close_account',
    { description: 'Closes an account', inputSchema: account },
    audited('close_account', ({ account: subject }: { account: string }, ctx) =>
      ctx.atLeastOnce('close', (run) => outside.ask<object>('close', { subject }, run), {
        nonRetryable: [RefusedError],
      }),
    ),
  )

  server.registerTool(
    'recent_calls',
    {
      description: 'The most recent calls, latest first',
      inputSchema: { limit },
      annotations: { readOnlyHint: true },
    },
    async (args) => answer({ entries: read(await audit().reverseRange(args)) }),
  )

  server.registerTool(
    'calls_between',
    {
      description: 'Calls of a span of time, oldest first; `after` goes on behind the last key of a page',
      inputSchema: { from: z.iso.datetime(), to: z.iso.datetime(), after: z.string().optional(), limit },
      annotations: { readOnlyHint: true },
    },
    async ({ from, to, after, limit: count }) => {
      const span = { from: uuid7Floor(new Date(from)), to: uuid7Floor(new Date(to)) }
      const page = await audit().range({ ...span, limit: count, ...(after !== undefined && { after }) })
      return answer({ entries: read(page), last: page.at(-1)?.[0] })
    },
  )

  return server
}

/** These tools only read, so they need not be durable; the context is there all the same. */
const audit = () => durableContext().map(auditMap)

const read = (entries: readonly MapEntry[]) =>
  entries.map(([, value]) => JSON.parse(Buffer.from(value).toString()) as AuditEntry)
