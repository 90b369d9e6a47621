import { createMcpHandler } from '@modelcontextprotocol/server'
import type { McpHttpHandler, McpServer } from '@modelcontextprotocol/server'
import type { MiddlewareHandler } from 'hono'
import { durable } from '../../src/index.js'
import type {
  AuthInfo,
  CommonOptions,
  Durable,
  Logger,
  ServerFactory,
  SessionInfo,
  Store,
} from '../../src/index.js'
import type { ServerObject } from '../../src/sdk.js'
import { serve } from './serve.js'
import type { Adapter, Endpoint, ServeOptions } from './serve.js'
import { serverV1 } from './server-v1.js'
import { serverV2 } from './server-v2.js'
import { openStorage } from './stores.js'
import type { StoreKind } from './stores.js'
import { World } from './world.js'
import { MapOfTransports, Upstream } from './wrapped.js'
import type { HostKind } from './wrapped.js'

export const SDKS = ['v1', 'v2'] as const
export type Sdk = (typeof SDKS)[number]

/** Server objects over either store, and each other host over one of them. */
export const SYSTEMS = [
  { store: 'memory', host: 'server' },
  { store: 'redis', host: 'server' },
  { store: 'memory', host: 'handler' },
  { store: 'redis', host: 'upstream' },
] as const satisfies NodesOptions[]

export type NodesOptions = {
  /** How many nodes; default 2. */
  count?: number
  store?: StoreKind
  /** What each node gets in place of its store. */
  wrap?: (store: Store, node: number) => Store
  adapter?: Adapter
  parsed?: boolean
  around?: MiddlewareHandler[]
  wrapFetch?: ServeOptions['wrapFetch']
  sdk?: Sdk
  /** What the nodes are given; default server objects. */
  host?: HostKind
  /** What is wrapped or behind the nodes keeps no sessions, and speaks 2026-07-28; of SDK 2.x. */
  alone?: 'besides sessions' | 'only'
  /** Whether what is wrapped or behind the nodes gives its events ids; default true. */
  resumable?: boolean
  /** What makes the server objects of a node, in place of the fixture's. */
  serverOf?: (node: number) => ServerFactory
  settings?: Partial<CommonOptions & { server: ServerFactory }>
  /** What differs from node to node. */
  settingsOf?: (node: number) => Partial<CommonOptions>
}

export type LogLine = { level: string; fields: object; message: string }

/** The nodes of one system: `durable()` instances of this process over one shared storage. */
export interface Nodes extends AsyncDisposable {
  readonly world: World
  readonly mcps: readonly Durable[]
  readonly endpoints: readonly Endpoint[]
  readonly stores: readonly Store[]
  /** Every server object that was made; one behind HTTP knows nothing of our session. */
  readonly made: { node: string; session?: SessionInfo }[]
  readonly logs: LogLine[]
  /** The server behind the nodes, for the host `upstream`. */
  readonly upstream: Upstream | undefined
  readonly wrapped: readonly MapOfTransports[]
  /** What keeps no sessions. */
  readonly handlers: readonly McpHttpHandler[]
  /** By which names the world knows the servers that tools run in, one for each node. */
  readonly servers: readonly string[]
  endpoint(node: number): Endpoint
  mcp(node: number): Durable
}

export async function startNodes(options: NodesOptions = {}): Promise<Nodes> {
  const {
    count = 2,
    store = 'memory',
    wrap,
    adapter = 'fetch',
    parsed,
    around,
    wrapFetch,
    sdk = 'v1',
    serverOf,
    settings,
    settingsOf,
    resumable = true,
    alone,
  } = options
  const storage = openStorage(store)
  const world = new World()
  const logs: LogLine[] = []
  const made: Nodes['made'] = []
  const mcps: Durable[] = []
  const endpoints: Endpoint[] = []
  const stores: Store[] = []
  const fixture = sdk === 'v1' && !alone ? serverV1 : serverV2
  const handlers: McpHttpHandler[] = []
  const { host = 'server' } = options
  const wrapped: MapOfTransports[] = []
  const handlerFor = (name: string) => {
    const make = () => {
      made.push({ node: name })
      return settings?.server ? (settings.server as () => ServerObject)() : fixture(name, world)
    }
    if (alone) {
      const legacy = alone === 'only' ? 'reject' : 'stateless'
      const handler = createMcpHandler(() => make() as McpServer, { legacy, onerror: () => undefined })
      handlers.push(handler)
      return (request: Request, { authInfo }: { authInfo?: AuthInfo }) =>
        handler.fetch(request, { ...(authInfo && { authInfo: authInfo as never }) })
    }
    const wrapping = new MapOfTransports(make, { sdk, resumable })
    wrapped.push(wrapping)
    return wrapping.fetch
  }
  const upstream = host === 'upstream' ? await Upstream.start(handlerFor(UPSTREAM)) : undefined
  for (let index = 0; index < count; index++) {
    const name = nodeName(index)
    const own = wrap ? wrap(storage.forNode(), index) : storage.forNode()
    stores.push(own)
    const server = (session: SessionInfo) => {
      made.push({ node: name, session })
      return serverOf ? serverOf(index)(session) : fixture(name, world)
    }
    const common = { store: own, logger: capture(logs), ...settingsOf?.(index) }
    const mcp =
      host === 'server'
        ? durable({ ...common, server, ...settings })
        : upstream
          ? durable({
              ...common,
              upstream: upstream.url,
              passHeaders: ['authorization'],
              ...settings,
              server: undefined,
            })
          : durable({ ...common, handler: handlerFor(name), ...settings, server: undefined })
    mcps.push(mcp)
    endpoints.push(
      await serve(adapter, mcp, {
        ...(parsed && { parsed }),
        ...(around && { around }),
        ...(wrapFetch && { wrapFetch }),
      }),
    )
  }
  return {
    world,
    mcps,
    endpoints,
    stores,
    made,
    logs,
    upstream,
    wrapped,
    handlers,
    servers: mcps.map((_, index) => (upstream ? UPSTREAM : nodeName(index))),
    endpoint: (node) => at(endpoints, node),
    mcp: (node) => at(mcps, node),
    async [Symbol.asyncDispose]() {
      await Promise.all(mcps.map((mcp) => mcp.close({ graceMs: 0 })))
      await Promise.all(handlers.map((handler) => handler.close()))
      await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()))
      await upstream?.[Symbol.asyncDispose]()
      await storage[Symbol.asyncDispose]()
    },
  }
}

const UPSTREAM = 'upstream'
export const nodeName = (index: number) => `node-${index}`

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  if (item === undefined) throw new Error(`there is no node ${index}`)
  return item
}

export function capture(logs: LogLine[]): Logger {
  const line = (level: string) => (fields: object, message: string) =>
    void logs.push({ level, fields, message })
  return { error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') }
}
