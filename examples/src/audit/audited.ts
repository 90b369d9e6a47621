import { durableTool, type DurableContext } from '@mcp-durable/core'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { answer } from '../examples/run-server.js'

export interface AuditEntry {
  at: string
  tool: string
  args: unknown
  outcome: 'succeeded' | 'failed'
  detail: string
}

export const auditMap = 'audit'

/**
 * A durable tool that leaves one entry per call in the audit map, whatever the call comes to and however many nodes it
 * takes. The key is a UUIDv7 of when the call began, so the map is in the order of time.
 */
export function audited<Args>(tool: string, work: (args: Args, ctx: DurableContext) => Promise<object>) {
  return durableTool<Args, CallToolResult>(async (args, ctx) => {
    const at = new Date(await ctx.now('audit: began')).toISOString()
    const key = await ctx.uuid7('audit: key')
    const leave = async (outcome: AuditEntry['outcome'], detail: string): Promise<void> => {
      const entry: AuditEntry = { at, tool, args, outcome, detail }
      const value = Buffer.from(JSON.stringify(entry))
      // Under an alias: the tool may change the same map itself.
      await ctx
        .map(auditMap)
        .idempotently('audit: entry')
        .insert({ [key]: value })
    }
    try {
      const result = await work(args as Args, ctx)
      await leave('succeeded', JSON.stringify(result))
      return answer(result)
    } catch (error) {
      // Moved to another node or cancelled: nothing has ended here, and nothing can be written any more.
      ctx.signal.throwIfAborted()
      await leave('failed', String(error))
      throw error
    }
  })
}
