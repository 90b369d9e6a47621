import { durableContext, durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { RefusedError, type Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'
import { Glossary } from './glossary.js'

await runServer('define', createServer)

const glossary = z.string().default('main')
const limit = z.number().int().min(1).max(100).default(10)
const readOnly = { readOnlyHint: true }

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'define', version: '1.0.0' })
  registerChanges(server, outside)
  registerQueries(server)
  return server
}

function registerChanges(server: McpServer, outside: Outside): void {
  const entry = z.object({ glossary, term: z.string().min(1), definition: z.string().optional() })
  server.registerTool(
    'define',
    { description: 'Defines a term, by itself or from the dictionary', inputSchema: entry.shape },
    durableTool(async ({ glossary: name, term, definition: given }: z.infer<typeof entry>, ctx) => {
      const terms = new Glossary(ctx, name)
      const subject = name
      const [earlier] = await terms.read([term])
      const { definition } =
        given === undefined
          ? await ctx.atLeastOnce(
              'suggest',
              (run) => outside.ask<{ definition: string }>('suggest', { subject, term }, run),
              { nonRetryable: [RefusedError] },
            )
          : { definition: given }
      const key = await ctx.uuid7('key')
      await terms.addTerm(term, { definition, key })
      await ctx.atLeastOnce('announce', (run) => outside.ask('announce', { subject, term }, run))
      await terms.addTime(term, { key, replaces: earlier?.key })
      return answer({ definition, replaced: earlier?.definition })
    }),
  )

  const unwanted = z.object({ glossary, terms: z.array(z.string()).min(1) })
  server.registerTool(
    'forget',
    { description: 'Removes terms from both indexes', inputSchema: unwanted.shape },
    durableTool(async ({ glossary: name, terms }: z.infer<typeof unwanted>, ctx) => {
      const stored = new Glossary(ctx, name)
      const found = (await stored.read(terms)).flatMap((definition) => definition ?? [])
      await stored.remove(
        terms,
        found.map(({ key }) => key),
      )
      return answer({ forgotten: found.length })
    }),
  )
}

function registerQueries(server: McpServer): void {
  const open = (name: string): Glossary => new Glossary(durableContext(), name)
  server.registerTool(
    'look_up',
    { description: 'One term', inputSchema: { glossary, term: z.string() }, annotations: readOnly },
    async ({ glossary: name, term }) => answer({ found: await open(name).lookUp(term) }),
  )
  server.registerTool(
    'list',
    {
      description: 'Terms in the order of the alphabet, a page at a time',
      inputSchema: { glossary, after: z.string().optional(), limit },
      annotations: readOnly,
    },
    async ({ glossary: name, after, limit: count }) =>
      answer({ terms: (await open(name).list(after, count)).map(([term]) => term) }),
  )
  server.registerTool(
    'search',
    { description: 'Terms by prefix', inputSchema: { glossary, prefix: z.string() }, annotations: readOnly },
    async ({ glossary: name, prefix }) =>
      answer({ terms: (await open(name).search(prefix)).map(([term]) => term) }),
  )
  server.registerTool(
    'recent',
    {
      description: 'The newest definitions, newest first',
      inputSchema: { glossary, limit },
      annotations: readOnly,
    },
    async ({ glossary: name, limit: count }) => answer({ terms: await open(name).recent(count) }),
  )
}
