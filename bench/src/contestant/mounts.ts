import { randomUUID } from 'node:crypto'
import { StreamableHTTPTransport } from '@hono/mcp'
import { durable } from '@mcp-durable/core'
import type { Durable } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import {
  createMcpHandler,
  WebStandardStreamableHTTPServerTransport as WebStandardTransport2,
} from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import { Redis } from 'ioredis'
import { createDurableServer, createServer, createServer2, createServerOf20 } from './add-server.js'
import { addMaking } from './making.js'

export const kinds = [
  'durable-redis',
  'durable-memory',
  'durable-file',
  'durable-of-20',
  'sdk',
  'sdk-events',
  'sdk-2',
  'sdk-2-handler',
  'hono-mcp',
  'bare-sse',
] as const
/** Who takes part: the durable server on each store, and those it is compared with. */
export type Kind = (typeof kinds)[number]

export type Settings = { synchronous?: 'full' | 'normal' }
export type Mounted = { app: Hono; mcp?: Durable; redis?: Redis }

/**
 * The endpoint `/mcp` of a contestant, on Hono, mounted as its own documentation shows it. `place`: the URL of Redis, or the path of a
 * file. Settings are for the durable ones, and for the file.
 */
export function mount(kind: Kind, place: string, settings: Settings): Mounted {
  const app = new Hono()
  switch (kind) {
    case 'durable-redis':
    case 'durable-of-20': {
      const redis = new Redis(place)
      redis.on('error', () => undefined)
      const server = servers[kind]
      const mcp = durable({ server, store: redisStore(redis), ...settings })
      app.use('/mcp', hono(mcp))
      if (kind === 'durable-of-20') addMaking(app, redis)
      return { app, mcp, redis }
    }
    case 'durable-file': {
      const { synchronous = 'full', ...others } = settings
      const store = file(place, { synchronous })
      const mcp = durable({ server: createDurableServer, store, ...others })
      app.use('/mcp', hono(mcp))
      return { app, mcp }
    }
    case 'durable-memory': {
      const mcp = durable({ server: createDurableServer })
      app.use('/mcp', hono(mcp))
      return { app, mcp }
    }
    case 'sdk':
    case 'sdk-events': {
      app.all('/mcp', bySession(sdkSession(kind === 'sdk-events')))
      return { app }
    }
    case 'sdk-2':
      app.all('/mcp', bySession(sdk2Session))
      return { app }
    case 'sdk-2-handler': {
      const handler = createMcpHandler(createServer2)
      app.all('/mcp', (c) => handler.fetch(c.req.raw))
      return { app }
    }
    case 'hono-mcp':
      app.all('/mcp', bySession(honoSession))
      return { app }
    case 'bare-sse':
      app.get('/mcp', (c) => streamSSE(c, (stream) => new Promise((resolve) => stream.onAbort(resolve))))
      return { app }
  }
}

const servers = {
  'durable-redis': createDurableServer,
  'durable-of-20': createServerOf20,
}

type Session = (c: Context) => Promise<Response | undefined>
type SessionEvents = { sessionIdGenerator: () => string; onsessioninitialized: (id: string) => void }

/** What every example of a stateful server does: transports in a Map, a new one for a request without a session. */
export function bySession(create: (events: SessionEvents) => Promise<Session>) {
  const sessions = new Map<string, Session>()
  return async (c: Context) => {
    const id = c.req.header('mcp-session-id')
    const known = id === undefined ? undefined : sessions.get(id)
    if (id !== undefined && !known) return c.json({ error: 'unknown session' }, 404)
    const session =
      known ??
      (await create({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (newId) => void sessions.set(newId, (context) => session(context)),
      }))
    return (await session(c)) ?? c.body(null)
  }
}

const sdkSession = (withEvents: boolean) => async (events: SessionEvents) => {
  const eventStore = withEvents ? { eventStore: new InMemoryEventStore() } : {}
  const transport = new WebStandardStreamableHTTPServerTransport({ ...events, ...eventStore })
  await createServer().connect(transport)
  return (c: Context) => transport.handleRequest(c.req.raw)
}

const sdk2Session = async (events: SessionEvents) => {
  const transport = new WebStandardTransport2(events)
  await createServer2().connect(transport)
  return (c: Context) => transport.handleRequest(c.req.raw)
}

const honoSession = async (events: SessionEvents) => {
  const transport = new StreamableHTTPTransport(events)
  await createServer().connect(transport)
  return (c: Context) => transport.handleRequest(c)
}
