import { durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServer2 } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { registerHanging } from './hanging.js'
import { registerNapping } from './napping.js'

const info = { name: 'bench', version: '1.0.0' }
const addInput = { a: z.number(), b: z.number() }
const add = { description: 'Adds two numbers', inputSchema: addInput }
const sum = ({ a, b }: { a: number; b: number }) => ({
  content: [{ type: 'text' as const, text: String(a + b) }],
})

const done = (steps: number) => ({ content: [{ type: 'text' as const, text: String(steps) }] })

/** The server of every contestant with the SDK 1.x: the tool `add`, and one that reports its progress. */
export function createServer(): McpServer {
  const server = new McpServer(info)
  server.registerTool('add', add, sum)
  server.registerTool(
    'progress',
    { description: 'Reports progress, then answers', inputSchema: { steps: z.number() } },
    async ({ steps }, extra) => {
      const progressToken = extra._meta?.progressToken ?? 0
      for (let progress = 1; progress <= steps; progress++) {
        const params = { progressToken, progress, total: steps }
        await extra.sendNotification({ method: 'notifications/progress', params })
      }
      return { content: [{ type: 'text', text: String(steps) }] }
    },
  )
  return server
}

/** With the SDK 2.x: `add`, and steps of which nothing is recorded. */
export function createServer2(): McpServer2 {
  const server = new McpServer2(info)
  server.registerTool('add', { ...add, inputSchema: z.object(addInput) }, sum)
  server.registerTool(
    'at-least-once',
    { inputSchema: z.object({ steps: z.number() }) },
    async ({ steps }) => {
      for (let step = 0; step < steps; step++) await Promise.resolve(step)
      return done(steps)
    },
  )
  return server
}

/** A server of usual size: `add`, and 19 tools beside it. */
export function createServerOf20(): McpServer {
  const server = new McpServer(info)
  server.registerTool('add', add, sum)
  for (let number = 1; number < 20; number++) {
    const inputSchema = {
      query: z.string(),
      limit: z.number().int().optional(),
      exact: z.boolean().optional(),
    }
    server.registerTool(
      `tool-${number}`,
      { description: `Tool number ${number}`, inputSchema },
      ({ query }) => ({
        content: [{ type: 'text', text: query }],
      }),
    )
  }
  return server
}

/** The server of a durable node with all that only a durable one can do. */
export function createDurableServer(): McpServer {
  const server = createServer()
  const inputSchema = { steps: z.number() }
  server.registerTool(
    'at-least-once',
    { inputSchema },
    durableTool(async ({ steps }, ctx) => {
      for (let step = 0; step < steps; step++) await ctx.atLeastOnce(`step-${step}`, () => step)
      return done(steps)
    }),
  )
  server.registerTool(
    'at-most-once',
    { inputSchema },
    durableTool(async ({ steps }, ctx) => {
      for (let step = 0; step < steps; step++) await ctx.atMostOnce(`step-${step}`, () => step)
      return done(steps)
    }),
  )
  registerHanging(server)
  registerNapping(server)
  return server
}
