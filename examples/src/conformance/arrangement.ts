import type { Adapter } from '../listen.js'
import { disposeAll, startProgram, startProxy, type Program } from '../processes.js'

/**
 * `server`: server objects. `handler`: a server that exists, wrapped. `upstream`: one behind proxies. `alone`: the same, on its
 * own. `sessionless-…`: the same with a server of SDK 2.x that needs no sessions.
 */
export const hosts = [
  'server',
  'handler',
  'upstream',
  'alone',
  'sessionless-handler',
  'sessionless-upstream',
  'sessionless-alone',
] as const
export type Host = (typeof hosts)[number]

export interface Arrangement {
  host: Host
  adapter: Adapter
  nodes: number
}

/** All adapters with server objects, on one node and on two; what is wrapped on two; and that alone, to compare. */
export function arrangements(
  chosenHosts: readonly Host[],
  adapters: readonly Adapter[],
  nodes: readonly number[],
): Arrangement[] {
  return chosenHosts.flatMap((host): Arrangement[] => {
    if (host === 'server')
      return adapters.flatMap((adapter) => nodes.map((count) => ({ host, adapter, nodes: count })))
    const most = Math.max(...nodes)
    if (host === 'handler') return [{ host, adapter: 'hono', nodes: most }]
    if (host === 'sessionless-handler') return adapters.map((adapter) => ({ host, adapter, nodes: most }))
    return [{ host, adapter: 'node', nodes: isAlone(host) ? 1 : most }]
  })
}

const isAlone = (host: Host): boolean => host.endsWith('alone')

export function nameOf({ host, adapter, nodes }: Arrangement): string {
  if (host === 'alone') return 'existing server alone'
  if (host === 'sessionless-alone') return 'server without sessions alone'
  const what = {
    server: adapter,
    handler: `handler, ${adapter}`,
    upstream: 'proxy',
    'sessionless-handler': `handler without sessions, ${adapter}`,
    'sessionless-upstream': 'proxy before a server without sessions',
  }[host]
  return nodes === 1 ? `${what}, 1 node` : `${what}, ${nodes} nodes behind the balancer`
}

/** Starts the nodes, all on one Redis, and the load balancer if there are several. */
export async function startArrangement(
  { host, adapter, nodes }: Arrangement,
  redisUrl: string,
): Promise<AsyncDisposable & { url: string }> {
  const started: Program[] = []
  const own = async (starting: Promise<Program>): Promise<string> => {
    const program = await starting
    started.push(program)
    return program.url
  }
  const start = (name: string, args: string[]): Promise<string> => own(startProgram(name, args))
  const startNode = (upstream: string): Promise<string> => {
    const common = ['--port', '0', '--redis', redisUrl]
    if (host.endsWith('upstream')) return own(startProxy([...common, '--upstream', `${upstream}/mcp`]))
    return start('everything', [
      ...common,
      '--adapter',
      adapter,
      ...(host === 'handler' ? ['--existing'] : []),
      ...(host === 'sessionless-handler' ? ['--sessionless'] : []),
    ])
  }
  try {
    const isBehind = host.endsWith('upstream') || isAlone(host)
    const which = host.startsWith('sessionless') ? ['--sessionless'] : []
    const existing = isBehind ? await start('existing', ['--port', '0', ...which]) : ''
    const backends: string[] = []
    const count = isAlone(host) ? 0 : nodes
    for (let node = 0; node < count; node++) backends.push(await startNode(existing))
    const flags = backends.flatMap((backend) => ['--backend', backend])
    const front =
      backends.length > 1
        ? await start('round-robin-lb', ['--listen-port', '0', ...flags])
        : (backends[0] ?? existing)
    return { url: `${front}/mcp`, [Symbol.asyncDispose]: () => disposeAll(started) }
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}
